"""What gets logged, in which shape, and what must never be."""

import json
import logging
import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.environment import without_settings

from runworker.config import Settings
from runworker.logs import configure_logging
from runworker.safe_text import printable, without_passwords

pytestmark = pytest.mark.usefixtures("logging_left_alone")

URL = "postgresql://plant:s3cret@db.example:5432/runworker"


def configure(**settings: Any) -> None:
    configure_logging(Settings(_env_file=None, **settings))


def last_event(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    captured = capsys.readouterr()
    assert captured.out == ""
    event: dict[str, Any] = json.loads(captured.err.splitlines()[-1])
    return event


def fail() -> None:
    local_secret = "hunter2"  # noqa: S105 - what a traceback with local variables would show
    raise ValueError(f"cannot open {URL}" + "!" * (len(local_secret) > 100))


IN_A_TERMINAL = """
import structlog
from runworker.config import Settings
from runworker.logs import configure_logging

configure_logging(Settings(_env_file=None))
structlog.get_logger().info("batch.applied", commands=3)
"""


def seen_in_a_terminal(**variables: str) -> str:
    """What a process of its own logs to a terminal."""
    master, terminal = os.openpty()
    kept = without_settings()
    kept.pop("NO_COLOR", None)
    subprocess.run([sys.executable, "-c", IN_A_TERMINAL], stderr=terminal, env=kept | variables, check=True)
    os.close(terminal)
    with os.fdopen(master, "rb", buffering=0) as reader:
        return reader.read(10_000).decode()


def test_events_are_json_where_no_person_watches(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    structlog.get_logger("runworker.engine").info("batch.applied", commands=3, lot="Dönernyárs")
    event = last_event(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "batch.applied",
        "level": "info",
        "logger": "runworker.engine",
        "commands": 3,
        "lot": "Dönernyárs",
    }


def test_events_are_coloured_text_where_a_person_watches() -> None:
    line = seen_in_a_terminal()
    assert "batch.applied" in line
    assert "\x1b[" in line


def test_no_color_is_respected() -> None:
    line = seen_in_a_terminal(NO_COLOR="1")
    assert "batch.applied" in line
    assert "commands=3" in line
    assert "\x1b" not in line


def test_log_format_is_stronger_than_the_terminal() -> None:
    assert json.loads(seen_in_a_terminal(RUNWORKER_LOG_FORMAT="json"))["event"] == "batch.applied"


def test_console_without_a_terminal_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="console")
    structlog.get_logger().info("batch.applied")
    line = capsys.readouterr().err
    assert "batch.applied" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_standard_library_takes_the_same_way(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format=log_format)
    logging.getLogger("celery.worker").warning("lost %s", URL, extra={"queue": "celery"})
    line = capsys.readouterr().err
    assert "lost postgresql://plant:***@db.example:5432/runworker" in line
    assert "s3cret" not in line
    assert "queue" in line
    if log_format == "json":
        assert json.loads(line)["level"] == "warning"


def test_python_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        configure()
        warnings.warn("careful", stacklevel=1)
    assert "UserWarning: careful" in last_event(capsys)["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("through", ["structlog", "stdlib"])
def test_tracebacks_show_neither_locals_nor_passwords(
    log_format: str, through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(log_format=log_format)
    try:
        fail()
    except ValueError:
        if through == "structlog":
            structlog.get_logger().exception("command.failed", url=URL)
        else:
            logging.getLogger("celery").exception("command.failed")
    written = capsys.readouterr().err
    assert "in fail" in written
    assert "ValueError: cannot open postgresql://plant:***@db.example:5432/runworker" in written
    assert "hunter2" not in written
    assert "s3cret" not in written


def test_a_password_does_not_hide_in_a_nested_value_or_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    class Connection:
        def __repr__(self) -> str:
            return f"<Connection {URL}>"

    configure()
    structlog.get_logger().info("opened", all=[{"one": URL}], connection=Connection())
    line = capsys.readouterr().err
    assert line.count("plant:***@") == 2
    assert "s3cret" not in line


def test_less_severe_events_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_level="WARNING")
    structlog.get_logger().info("quiet")
    logging.getLogger("celery").info("quiet")
    assert capsys.readouterr().err == ""


def test_the_last_configuration_holds_and_each_event_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="console")
    configure(log_format="json")
    structlog.get_logger().info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_sender_cannot_steer_the_terminal(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format=log_format)
    structlog.get_logger().warning("dead_letter.kept", error="\x1b[2J\x9b2J\x07gone", half="\ud800")
    line = capsys.readouterr().err
    assert "gone" in line
    assert not any(character in line for character in "\x1b\x9b\x07")


def test_bound_context_stands_in_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    with structlog.contextvars.bound_contextvars(key="k-1"):
        structlog.get_logger().info("applied")
    assert last_event(capsys)["key"] == "k-1"


def test_an_event_that_cannot_be_written_ends_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no words for it")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own raises what it cannot write
    configure()
    structlog.get_logger().info("applied", what=Broken())
    assert "no words for it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:s3cret@h:1/0", "redis://:***@h:1/0"),
        ("a redis://u:p@ss@h and b@c", "a redis://u:***@h and b@c"),
        ('{"url":"redis://u:s3cret@h"}', '{"url":"redis://u:***@h"}'),
        ("http://h:8080/path", "http://h:8080/path"),
        ("redis://user@h", "redis://user@h"),
        ("redis://:@h", "redis://:@h"),
        ("mail a:b@c", "mail a:b@c"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, expected: str) -> None:
    assert without_passwords(text) == expected


@given(
    scheme=st.sampled_from(["redis", "postgresql+psycopg"]),
    user=st.text(st.characters(categories=["L", "N"]), max_size=5),
    password=st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*"), min_size=4, max_size=20
    ),
    around=st.text(st.characters(categories=["L", "Zs"]), max_size=5),
)
def test_no_password_survives(scheme: str, user: str, password: str, around: str) -> None:
    masked = without_passwords(f"{around} {scheme}://{user}:{password}@host/name {around}")
    assert f":{password}@" not in masked
    assert masked.endswith(f"@host/name {around}")


@pytest.mark.timeout(60)  # it takes milliseconds; in the square of the length it would take minutes
def test_hostile_text_is_searched_in_linear_time() -> None:
    without_passwords("@" + "://a:" * 200_000)


def test_printable_keeps_letters_and_lines() -> None:
    assert printable("Árvíztűrő\ttükör\nfúró") == "Árvíztűrő\ttükör\nfúró"
    assert printable("a\x1b[2Jb\x00\ud800") == "a\\x1b[2Jb\\x00\\ud800"
