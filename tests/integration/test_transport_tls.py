"""A broker that is reached through TLS only, with a certificate of an authority of the plant's own."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import pytest
import trustme
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from sqlalchemy import make_url
from tests.crew import PATIENCE, Crew

from runworker.client import Client

HOST: Final = "127.0.0.1"


class TlsFront:
    """Speaks TLS at `port`, and hands what comes to the server at `address` in clear.

    With asyncio, as no two threads may read and write one TLS connection: `tests.proxy` has two for each.
    """

    def __init__(self, context: ssl.SSLContext, address: tuple[str, int]) -> None:
        self._context = context
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._behind: list[asyncio.StreamWriter] = []
        opened: Future[int] = Future()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(opened),))
        self._thread.start()
        self.port = opened.result(timeout=10)

    def close(self) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, opened: "Future[int]") -> None:
        server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._context, ssl_shutdown_timeout=1)
        opened.set_result(server.sockets[0].getsockname()[1])
        await self._ending.wait()
        server.close()
        for writer in self._behind:
            writer.transport.abort()  # and so the connection in front of it ends as well
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(*self._address)
        self._behind.append(ahead)
        await asyncio.gather(_pour(reader, ahead), _pour(behind, writer))


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def front(crew: Crew, authority: trustme.CA) -> Iterator[TlsFront]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    broker = make_url(crew.broker_url)
    front = TlsFront(context, (broker.host or HOST, broker.port or 6379))
    yield front
    crew.dismiss()  # nobody comes to a front that closes
    front.close()


def through(front: TlsFront, crew: Crew, trusted: trustme.CA, folder: Path) -> str:
    """The crew's broker, behind TLS, for whoever trusts this authority."""
    folder.mkdir()
    trusted.cert_pem.write_to_path(folder / "authority.pem")
    tls = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(folder / "authority.pem")}
    url = make_url(crew.broker_url).set(drivername="rediss", host=HOST, port=front.port)
    return url.update_query_dict(tls).render_as_string(hide_password=False)


def test_worker_and_client_speak_tls(crew: Crew, front: TlsFront, authority: trustme.CA, tmp_path: Path) -> None:
    url = through(front, crew, authority, tmp_path / "trusted")
    worker = crew.hire(broker_url=SecretStr(url))
    version = crew.plant.version()
    with Client(url, issued_by=crew.plant.user("ADMIN")) as client:
        with client.batch() as batch:
            sent = [batch.start_run(flow_version_id=version) for _ in range(5)]
        sent += [client.start_run(flow_version_id=version) for _ in range(5)]
        assert {one.wait(timeout=PATIENCE).status for one in sent} == {"APPLIED"}
        assert client.verdicts(sent[0].idempotency_key)[sent[0].idempotency_key] == sent[0].wait()
    crew.wait_until_idle()
    assert worker.exit_code is None


def test_a_broker_that_is_not_trusted_gets_nothing(crew: Crew, front: TlsFront, tmp_path: Path) -> None:
    url = through(front, crew, trustme.CA(), tmp_path / "stranger")
    with (
        Client(url, issued_by=crew.plant.user("ADMIN")) as client,
        pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.start_run(flow_version_id=crew.plant.version())
    assert not crew.queued()
