"""The embedded PostgreSQL: its cluster, its server, the worker's login role."""

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from runworker.embedded import credentials, programs
from runworker.embedded.account import Account, server_account
from runworker.embedded.directories import DataDirectory, storage_errors, write_private
from runworker.embedded.locks import locked
from runworker.embedded.process import (
    HOST,
    NO_MORE,
    STOP_SECONDS,
    Recipe,
    RunningServer,
    require_supported_caller,
    run,
    start,
)
from runworker.errors import ServerError

SERVER: Final = "postgres"
SUPERUSER: Final = "postgres"
WORKER_LOGIN: Final = "runworker_app"
WORKER_GROUP: Final = "runworker_worker"
DATABASE: Final = "runworker"

INITDB_SECONDS: Final = 120.0
CONNECT_SECONDS: Final = 5

SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "128MB",
}
NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def start_postgres(
    directory: Path, *, durable: bool, port: int | None = None, settings: Mapping[str, str] = NO_MORE
) -> RunningServer:
    """Start PostgreSQL on the data in directory, made on the first start, with the database and the worker's login.

    durable: False gives up safety against a crash of the machine for speed; for tests only.
    port: a free one unless given. settings: PostgreSQL's, before ours. Raises ServerError, with what to do, when the
    server cannot run.
    """
    require_supported_caller()
    home, account = DataDirectory(directory), server_account()
    with storage_errors(directory):
        home.prepare(account)
        busy = f"another PostgreSQL still uses {home.data(SERVER)}; stop the process that started it."
        with locked(home.lock(SERVER), timeout=STOP_SECONDS, if_busy=busy) as lock:
            program = programs.find_program(programs.POSTGRES, account, home.programs)
            passwords = _passwords(home)
            if not home.data(SERVER).exists():
                _initialize(home, program.with_name("initdb"), account=account, lock=lock, durable=durable)
            _remove_stale_pid_file(home.data(SERVER))
            recipe = _recipe(home, program, SETTINGS | ({} if durable else NOT_DURABLE) | dict(settings))
            server = start(recipe, account=account, lock=lock, port=port)
    try:
        _ensure_login_and_database(server.port, passwords)
    except BaseException as error:
        server.stop()
        if isinstance(error, psycopg.Error):
            raise ServerError(f"PostgreSQL runs, but its database cannot be prepared: {error}") from error
        raise
    return server


def database_url(directory: Path, login: str, port: int) -> str:
    """SQLAlchemy's URL of the runworker database for a login (SUPERUSER or WORKER_LOGIN)."""
    return f"postgresql+psycopg://{login}:{password_of(directory, login)}@{HOST}:{port}/{DATABASE}"


def password_of(directory: Path, login: str) -> str:
    """The password of a login to the PostgreSQL on the data in directory."""
    return credentials.load(DataDirectory(directory).passwords(SERVER))[login]


def connect(sqlalchemy_url: str) -> psycopg.Connection:
    """A plain connection, each statement its own transaction, to the database of a SQLAlchemy URL."""
    conninfo = sqlalchemy_url.replace("postgresql+psycopg://", "postgresql://", 1)
    return psycopg.connect(conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS)


def grant_worker_role(admin_url: str) -> bool:
    """Let the worker's login act as the group role that the migrations create; call it after them, any number of times.

    False when the group role does not exist yet, and nothing was granted.
    """
    with connect(admin_url) as connection:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [WORKER_GROUP]).rowcount
        if found:
            grant = sql.SQL("GRANT {} TO {}")
            connection.execute(grant.format(sql.Identifier(WORKER_GROUP), sql.Identifier(WORKER_LOGIN)))
        return bool(found)


def _passwords(home: DataDirectory) -> dict[str, str]:
    path = home.passwords(SERVER)
    if home.data(SERVER).exists() and not path.exists():
        raise ServerError(
            f"{path} is missing, and the database in {home.data(SERVER)} cannot be opened without it. "
            "Put it back, or move the database away to begin a new one."
        )
    return credentials.load_or_generate(path, [SUPERUSER, WORKER_LOGIN])


def _recipe(home: DataDirectory, program: Path, settings: Mapping[str, str]) -> Recipe:
    data = home.data(SERVER)
    admin_password = password_of(home.path, SUPERUSER)

    def command(port: int) -> list[str]:
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(program), "-D", str(data), "-p", str(port), *options]

    return Recipe(
        name="PostgreSQL",
        command=command,
        probe=lambda port: _maintenance(port, admin_password).close(),
        not_ready=(psycopg.OperationalError,),
        stop_signal=signal.SIGINT,  # fast shutdown: ends the sessions, keeps what they committed
        death_signal=signal.SIGINT,
        folder=data,
        log=home.log(SERVER),
    )


def _initialize(home: DataDirectory, initdb: Path, *, account: Account, lock: int, durable: bool) -> None:
    """Make the cluster beside its place and move it there when complete: a crash leaves no half of one."""
    draft = home.path / "postgres.draft"
    password_file = home.path / "initdb.password"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    account.own(draft)
    write_private(password_file, password_of(home.path, SUPERUSER))
    account.own(password_file)
    command = [str(initdb), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"]
    command += ["--no-locale", "-E", "UTF8", "--auth=scram-sha-256"]
    command += [] if durable else ["--no-sync"]
    try:
        run(command, account=account, lock=lock, folder=draft, log=home.log(SERVER), seconds=INITDB_SECONDS)
    finally:
        password_file.unlink()
    draft.rename(home.data(SERVER))


def _remove_stale_pid_file(data: Path) -> None:
    """Remove a killed server's pid file: PostgreSQL does not start where the pid belongs to another process by now.

    The caller holds the server's lock, so no server of ours runs here; one started by other means is left alone.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return  # PostgreSQL itself says best what is wrong with a file it cannot read
    try:
        working_folder = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        working_folder = None  # no such process, or one of another user, which a server here could not be
    if working_folder != data.resolve():
        pid_file.unlink()


def _maintenance(port: int, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host=HOST,
        port=port,
        user=SUPERUSER,
        password=password,
        dbname="postgres",
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
    )


def _ensure_login_and_database(port: int, passwords: dict[str, str]) -> None:
    with _maintenance(port, passwords[SUPERUSER]) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [WORKER_LOGIN]).rowcount:
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(create.format(sql.Identifier(WORKER_LOGIN), passwords[WORKER_LOGIN]))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
