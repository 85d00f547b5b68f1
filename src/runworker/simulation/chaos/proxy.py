"""A TCP proxy before a server, which goes away, falls silent, delays and loses answers when told to."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65_536
TELL_SECONDS: Final = 10

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: what closes sends a reset, and nothing that was not sent yet."""


class Proxy:
    """Stands before a server for as long as its block lasts.

    port: where to connect in place of the server's. What is done to the connections lasts until `come_back`. All
    methods may be called from any thread, and return when it is done.
    """

    def __init__(self, server_port: int, *, server_host: str = HOST) -> None:
        self._server_host = server_host
        self._server_port = server_port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.port}", daemon=True)
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_away = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._delay_seconds = 0.0
        self._lose_answer_to: bytes | None = None

    def lead_to(self, server_port: int) -> None:
        """Lead connections that are made from now on to another server, as a load balancer does."""
        self._server_port = server_port

    def go_away(self) -> None:
        """Cut every connection and refuse new ones, as a server does that is down."""
        self._tell(self._go_away())

    def fall_silent(self) -> None:
        """Let nothing through and cut nothing, as a wire does that somebody has pulled out."""
        self._tell(self._let_through(False))

    def delay(self, seconds: float) -> None:
        """Hold up what goes through for so long, in both directions."""
        self._delay_seconds = seconds

    def come_back(self) -> None:
        """Let connections through again, and what was held up meanwhile, however late it is."""
        self._is_away = False
        self._delay_seconds = 0.0
        self._tell(self._let_through(True))

    def lose_answer_to(self, statement: bytes) -> None:
        """Let the next message with these bytes reach the server and cut the connection at its answer; `lost` tells."""
        self.lost.clear()
        self._lose_answer_to = statement

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._tell(asyncio.start_server(self._accept, sock=self._listener))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _tell(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(TELL_SECONDS)

    async def _go_away(self) -> None:
        self._is_away = True
        for end in list(self._ends):
            _reset(end)

    async def _let_through(self, passes: bool) -> None:
        (self._passes.set if passes else self._passes.clear)()

    async def _close(self) -> None:
        self._server.close()
        await self._go_away()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            await self._passes.wait()
            if not self._is_away:
                await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either side has ended, and so does the other; only `_close` cancels
        finally:
            self._ends.discard(writer)
            _reset(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._server_host, self._server_port)
        self._ends.add(server_writer)
        loses = asyncio.Event()
        try:
            await asyncio.gather(
                self._ask(reader, server_writer, loses),
                self._answer(server_reader, writer, loses),
            )
        finally:
            self._ends.discard(server_writer)
            _reset(server_writer)

    async def _ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, loses: asyncio.Event) -> None:
        while chunk := await self._chunk(client):
            if self._lose_answer_to is not None and self._lose_answer_to in chunk:
                self._lose_answer_to = None
                loses.set()
            server.write(chunk)
            await server.drain()
        server.close()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, loses: asyncio.Event) -> None:
        while chunk := await self._chunk(server):
            if loses.is_set():
                self.lost.set()
                raise ConnectionResetError
            client.write(chunk)
            await client.drain()
        client.close()

    async def _chunk(self, source: asyncio.StreamReader) -> bytes:
        chunk = await source.read(CHUNK_BYTES)
        await asyncio.sleep(self._delay_seconds)
        await self._passes.wait()
        return chunk


def _reset(end: asyncio.StreamWriter) -> None:
    if not end.is_closing():
        end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.transport.abort()
