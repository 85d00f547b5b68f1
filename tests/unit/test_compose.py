"""docker-compose.yml as a document. What its commands do is tried in tests/acceptance/test_compose_commands.py."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runworker.config import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_services_are_those_of_the_design() -> None:
    assert set(SERVICES) == {"postgres", "redis", "migrate", "worker", "flower"}


@each_service
def test_proves_that_it_works_or_runs_once(service: dict[str, Any]) -> None:
    if service["restart"] == "no":
        users = [each["depends_on"] for each in SERVICES.values() if "migrate" in each.get("depends_on", {})]
        assert users
        assert all(each["migrate"]["condition"] == "service_completed_successfully" for each in users)
    else:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert "pg_isready" not in str(service["healthcheck"]), "answers while queries fail"


@each_service
def test_is_confined(service: dict[str, Any]) -> None:
    user, group = service["user"].split(":")
    assert int(user) > 0 < int(group)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


@each_service
def test_image_is_pinned(service: dict[str, Any]) -> None:
    _, tag = service["image"].split(":")
    assert re.search(r"\d+\.\d+", tag)


def test_image_is_this_release() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert SERVICES["worker"]["image"] == f"runworker:{version[1]}"


def test_secrets_are_files_that_nobody_ships() -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_secret_is_generated_and_used() -> None:
    generated = set(re.findall(r"^keep (\w+)", (ROOT / "docker/make-secrets.sh").read_text(), re.MULTILINE))
    used = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert generated == used == set(COMPOSE["secrets"])


def test_secret_files_of_the_worker_are_settings() -> None:
    for service in ("worker", "migrate", "flower"):
        names = {name for name in SERVICES[service]["secrets"] if name.startswith("runworker_")}
        assert {name.removeprefix("runworker_") for name in names} <= set(Settings.model_fields)
        assert names


@each_service
def test_no_password_in_the_document(service: dict[str, Any]) -> None:
    for name, value in service.get("environment", {}).items():
        assert not re.search("PASSWORD|SECRET|TOKEN|AUTH|URL", name) or name.endswith("_FILE"), (name, value)
    command = str(service.get("command")) + str(service.get("healthcheck"))
    for found in re.findall(r"(?:requirepass|AUTH=|PASSWORD=)\S*", command):
        assert "cat" in command[command.index(found) :][:60]
    assert not re.search(r"://[^/\s]*:[^/\s]*@", str(service))


def test_worker_sees_neither_the_owner_nor_the_superuser() -> None:
    assert set(SERVICES["worker"]["secrets"]) == {"runworker_database_url", "runworker_broker_url"}
    assert set(SERVICES["migrate"]["secrets"]) == {"runworker_migration_url"}
    assert set(SERVICES["flower"]["secrets"]) == {"runworker_broker_url", "flower_basic_auth"}


def test_broker_keeps_messages() -> None:
    lines = [line.strip() for line in SERVICES["redis"]["command"][2].splitlines()]
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(lines)
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_only_flower_is_published_and_on_loopback() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"flower": ["127.0.0.1:5555:5555"]}
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_image_installs_from_the_lock_and_is_not_root() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "requirements.lock" in DOCKERFILE
    assert DOCKERFILE.rindex("USER 10001:10001") > DOCKERFILE.rindex("COPY")
    assert SERVICES["worker"]["user"] == "10001:10001"


def test_build_context_holds_what_is_copied_and_no_more() -> None:
    ignored, *kept = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith(("#", "**"))
    ]
    copied = [
        source
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for source in sources.split()
    ]
    assert ignored == "*"
    assert sorted(kept) == sorted(f"!{source}" for source in copied)
