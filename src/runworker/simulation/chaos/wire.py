"""A wire to one server: a TCP proxy that cuts, delays or swallows what goes through when told to."""

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
"""SO_LINGER: a closed connection sends a reset and nothing that was not sent yet."""


class Wire:
    """Stands before the server at a port of this machine for as long as its block lasts.

    port: where to connect in place of the server's. Whatever was done to the wire lasts until `mend`. All methods may
    be called from any thread, and return when it is done.
    """

    def __init__(self, server_port: int, *, port: int = 0) -> None:
        self._server_port = server_port
        self._listener = socket.create_server((HOST, port))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"wire to {server_port}", daemon=True)
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._delay_seconds = 0.0
        self._passable = asyncio.Event()
        self._passable.set()

    def lead_to(self, server_port: int) -> None:
        """Lead connections that are made from now on to another server, as a load balancer does."""
        self._server_port = server_port

    def cut(self) -> None:
        """Reset every connection and each that is made from now on, as a server does that is down."""
        self._tell(self._cut())

    def swallow(self) -> None:
        """Forward nothing and close nothing: connections stay open, and nobody answers."""
        self._tell(self._swallow())

    def delay(self, seconds: float) -> None:
        """Let what goes through wait for so long, in both directions."""
        self._delay_seconds = seconds

    def mend(self) -> None:
        """Let everything through again; what was swallowed arrives late, where its connection is still open."""
        self._tell(self._mend())

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

    async def _cut(self) -> None:
        self._is_cut = True
        for end in list(self._ends):
            _reset(end)

    async def _swallow(self) -> None:
        self._passable.clear()

    async def _mend(self) -> None:
        self._is_cut = False
        self._delay_seconds = 0.0
        self._passable.set()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        await self._mend()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passable.wait()
        if self._is_cut:
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self._server_port)
        except OSError:
            _reset(writer)
            return
        self._ends |= {writer, server_writer}
        try:
            await asyncio.gather(self._forward(reader, server_writer), self._forward(server_reader, writer))
        except OSError:
            _reset(writer)
            _reset(server_writer)
        finally:
            self._ends -= {writer, server_writer}

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            await asyncio.sleep(self._delay_seconds)
            await self._passable.wait()
            sink.write(chunk)
            await sink.drain()
        sink.close()


def _reset(end: asyncio.StreamWriter) -> None:
    end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.transport.abort()
