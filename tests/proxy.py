"""A TCP proxy in front of PostgreSQL or Redis that goes away, falls silent, comes back and loses answers."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType

from sqlalchemy import make_url


class Proxy:
    """Stands in front of the server at `url`, as long as its block lasts. `url`: where to connect instead."""

    def __init__(self, url: str) -> None:
        behind = make_url(url)
        is_redis = behind.drivername.startswith("redis")
        self._server = (behind.host or "localhost", behind.port or (6379 if is_redis else 5432))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_away = False
        self._passes = threading.Event()
        self._passes.set()
        self._lose_answer_to: bytes | None = None
        self.lost = threading.Event()
        through = behind.set(host="127.0.0.1", port=self._port)
        if not is_redis:
            through = through.update_query_dict({"sslmode": "disable"})  # in clear text, for the proxy reads along
        self.url = through.render_as_string(hide_password=False)

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.close()
        self._passes.set()
        self._cut()

    def fall_silent(self) -> None:
        """Let nothing through and cut nothing, as a wire does that somebody has pulled out."""
        self._passes.clear()

    def go_away(self) -> None:
        """Cut every connection and refuse new ones, as a server does that is down."""
        self._is_away = True
        self._cut()

    def come_back(self) -> None:
        """Let connections through again, and what was held up meanwhile, however late it is."""
        self._is_away = False
        self._passes.set()

    def lose_answer_to(self, statement: bytes) -> None:
        """Let the next message with these bytes reach the server, and cut the connection at its answer."""
        self.lost.clear()
        self._lose_answer_to = statement

    def _cut(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_away:
                client.close()
                continue
            server = socket.create_connection(self._server)
            with self._lock:
                self._connections |= {client, server}
            loses = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, loses), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, loses), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        for chunk in self._chunks(client):
            if self._lose_answer_to is not None and self._lose_answer_to in chunk:
                self._lose_answer_to = None
                loses.set()
            if not self._sent(server, chunk):
                break
        self._close(server)

    def _answer(self, server: socket.socket, client: socket.socket, loses: threading.Event) -> None:
        for chunk in self._chunks(server):
            if loses.is_set():
                self.lost.set()
                break
            if not self._sent(client, chunk):
                break
        self._close(client)

    @staticmethod
    def _sent(other: socket.socket, chunk: bytes) -> bool:
        """Whether the other side was there to take it; it may have been cut off a moment ago."""
        with contextlib.suppress(OSError):
            other.sendall(chunk)
            return True
        return False

    def _chunks(self, source: socket.socket) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                self._passes.wait()
                yield chunk

    def _close(self, other: socket.socket) -> None:
        with self._lock:
            self._connections.discard(other)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        other.close()
