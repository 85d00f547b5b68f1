"""Asks the servers that a directory's record names whether they are there."""

from typing import Final

import psycopg
from redis.exceptions import RedisError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from runworker.embedded import postgres, valkey
from runworker.embedded.directories import DataDirectory, storage_errors
from runworker.embedded.finding import ServerUrls, read_record
from runworker.embedded.locks import POLL_SECONDS, is_locked
from runworker.embedded.process import STOP_SECONDS
from runworker.errors import ServerError

_NO_ANSWER: Final = (psycopg.OperationalError, RedisError)


def answering(home: DataDirectory) -> ServerUrls | None:
    """The servers as they answer, None where none run. Waits for them, and raises ServerError, as `find_running`."""
    attempts = Retrying(
        stop=stop_after_delay(STOP_SECONDS),
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_exception_type(_NO_ANSWER),
        reraise=True,
    )
    try:
        with storage_errors(home.path):
            return attempts(_look_once, home)
    except _NO_ANSWER as error:
        raise ServerError(
            f"the servers in {home.path} neither answer nor end; {home.record} names their processes, and "
            f"{home.log(postgres.SERVER)} and {home.log(valkey.SERVER)} what they do. End them and try again."
        ) from error


def _look_once(home: DataDirectory) -> ServerUrls | None:
    record = read_record(home.record)
    if record is None or not all(is_locked(home.lock(each)) for each in (postgres.SERVER, valkey.SERVER)):
        return None
    urls = ServerUrls(record["admin_database_url"], record["database_url"], record["broker_url"])
    postgres.connect(urls.admin_database_url).close()  # keeps a place when all others are taken
    valkey.ping(urls.broker_url)
    return urls
