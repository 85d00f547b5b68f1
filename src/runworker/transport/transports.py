"""The transports behind the schemes, and the poller that their channels share."""

import ssl
import threading
from contextlib import suppress
from typing import Any

from kombu.transport import redis as stock
from redis.exceptions import ResponseError

from runworker.transport.channel import Channel, SentinelChannel


class Poller(stock.MultiChannelPoller):
    """kombu's poller, but each tick sends the kept acknowledgements. thread: the one in which the loop runs."""

    thread: int | None = None

    def on_poll_start(self) -> None:
        """Before the loop waits: flush, then have each channel fetch that has room."""
        self.thread = threading.get_ident()
        for channel in self._channels:
            channel.flush()
        super().on_poll_start()

    def on_readable(self, fileno: int) -> None:
        """Read from a socket. kombu takes a push that no request waits for to be the end of the connection."""
        channel, kind = self._fd_to_chan.get(fileno, (None, None))
        if kind == "BRPOP" and not channel._in_poll and fileno not in self._paused_brpop:
            channel.read_push()
        else:
            super().on_readable(fileno)

    def get(self, callback: Any, timeout: float | None = None) -> None:
        """One tick without a loop. It never waits longer than a channel waits to be told."""
        patience = stock.Transport.brpop_timeout
        super().get(callback, timeout=patience if timeout is None else min(timeout, patience))

    def maybe_restore_messages(self) -> None:
        """Put back messages that are overdue. An error of the connection ends it; kombu would wait and try for ever."""
        for channel in self._channels:
            if channel.active_queues:  # one is enough: the messages are those of all
                channel.qos.restore_visible(interval=channel.unacked_restore_throttle)
                return

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep temporary queues known. Where the server refuses that, kombu would write a traceback each second."""
        for channel in self._channels:
            with suppress(ResponseError):
                channel.maybe_refresh_binding_expiry()

    def _register_BRPOP(self, channel: Channel) -> None:  # noqa: N802 - kombu's name
        channel.stop_waiting_if_long()
        super()._register_BRPOP(channel)


class Transport(stock.Transport):
    """kombu's Redis transport with channels that fetch messages in one step. loop: the event loop, if there is one."""

    Channel = Channel
    cycle: Any = None
    loop: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have the loop drive this transport."""
        self.loop = loop
        super().register_with_event_loop(connection, loop)


class TlsTransport(Transport):
    """The same over TLS. The server's certificate is checked unless the URL says otherwise (`?ssl_cert_reqs=none`)."""

    def __init__(self, client: Any, **options: Any) -> None:
        # kombu does this for its own scheme, without the check; where it does not, passwords go in clear.
        if not isinstance(client.ssl, dict):
            client.ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
        super().__init__(client, **options)


class SentinelTransport(Transport):
    """The same through Sentinel."""

    Channel = SentinelChannel
    default_port: Any = stock.SentinelTransport.default_port
