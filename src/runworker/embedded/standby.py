"""A second PostgreSQL that follows a running one: copied from it, fed by its write-ahead log, promoted when told to."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runworker.embedded import programs
from runworker.embedded.account import Account, server_account
from runworker.embedded.directories import DataDirectory, storage_errors, write_private
from runworker.embedded.locks import locked
from runworker.embedded.postgres import SERVER, SUPERUSER, connect, password_of, start_postgres
from runworker.embedded.process import HOST, NO_MORE, STOP_SECONDS, RunningServer, require_supported_caller, run
from runworker.errors import ServerError

COPY_SECONDS: Final = 120.0
PROMOTE_SECONDS: Final = 60


def start_standby(
    directory: Path,
    *,
    primary: Path,
    primary_port: int,
    name: str,
    durable: bool,
    port: int | None = None,
    settings: Mapping[str, str] = NO_MORE,
) -> RunningServer:
    """Copy the PostgreSQL that runs on the data in `primary` into directory, and start the copy as its hot standby.

    primary_port: where the standby finds it, now and later. name: what the primary calls the standby, in
    `synchronous_standby_names` and `pg_stat_replication`. durable, port, settings: as for `start_postgres`, and
    durable as for the primary. Passwords are the primary's. Raises ServerError as `start_postgres` does, and where
    directory has a cluster already.
    """
    require_supported_caller()
    home, source, account = DataDirectory(directory), DataDirectory(primary), server_account()
    with storage_errors(directory):
        home.prepare(account)
        busy = f"another PostgreSQL still uses {home.data(SERVER)}; stop the process that started it."
        with locked(home.lock(SERVER), timeout=STOP_SECONDS, if_busy=busy) as lock:
            if home.data(SERVER).exists():
                raise ServerError(
                    f"{home.data(SERVER)} is there already; remove it to copy the primary into its place."
                )
            write_private(home.passwords(SERVER), source.passwords(SERVER).read_text("utf-8"))
            program = programs.find_program(programs.POSTGRES, account, home.programs).with_name("pg_basebackup")
            command = [str(program), f"--dbname={_conninfo(home, account, primary_port, name)}"]
            _copy(home, command + ([] if durable else ["--no-sync"]), account, lock)
    return start_postgres(directory, durable=durable, port=port, settings=settings)


def promote(sqlalchemy_url: str) -> None:
    """Make a standby, reached as superuser, a primary, and wait until it takes writes. Raises ServerError otherwise."""
    with connect(sqlalchemy_url) as connection:
        promoted = connection.execute("SELECT pg_promote(true, %s)", [PROMOTE_SECONDS]).fetchone()
    if promoted != (True,):
        raise ServerError(f"the standby was not promoted within {PROMOTE_SECONDS} s.")


def _conninfo(home: DataDirectory, account: Account, primary_port: int, name: str) -> str:
    password_file = home.path / "replication.password"  # kept, for the standby reads it at each connection
    write_private(password_file, f"*:*:*:{SUPERUSER}:{password_of(home.path, SUPERUSER)}\n")
    account.own(password_file)
    return f"host={HOST} port={primary_port} user={SUPERUSER} passfile={password_file} application_name={name}"


def _copy(home: DataDirectory, command: list[str], account: Account, lock: int) -> None:
    """Copy the primary; the copy knows by its files that it is a standby, and of whom."""
    data = home.data(SERVER)
    data.mkdir(mode=0o700)
    account.own(data)
    options = [f"--pgdata={data}", "--write-recovery-conf", "--checkpoint=fast", "--no-password"]
    try:
        run([*command, *options], account=account, lock=lock, folder=data, log=home.log(SERVER), seconds=COPY_SECONDS)
    except BaseException:
        shutil.rmtree(data)  # never to be taken for a whole one
        raise
