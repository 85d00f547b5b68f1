"""Channels that fetch messages in one step, and are told when there are more."""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha1
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import redis as stock
from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from runworker.transport.acknowledging import QoS
from runworker.transport.binding import BindingChannel
from runworker.transport.deadlines import KEEPALIVE
from runworker.transport.envelopes import UNREADABLE, address_of, opened
from runworker.transport.fetching import AT_ONCE, FetchRequest, Item, Source
from runworker.transport.leases import Lease
from runworker.transport.schemes import PREFIX
from runworker.transport.scripts import MOVE_TO_UNREADABLE, TAKE
from runworker.transport.versions import require_fitting_server

_DIGEST = sha1(TAKE.encode(), usedforsecurity=False).hexdigest()


class Channel(BindingChannel):
    """kombu's channel, but each message is in its list or in `unacked` at every moment.

    Where stock kombu sends BRPOP, this channel sends a script that takes up to a prefetch's worth of messages and
    enters them as unacked. Where the lists are empty it waits to be told: the server tells a connection once when a key
    that the connection has read changes (CLIENT TRACKING), and the script has read the lists. `_in_poll` is the
    connection while it waits, for an answer (to `_pending_fetch`) or to be told.
    """

    QoS = QoS
    socket_keepalive_options: Any = KEEPALIVE
    _in_poll: Any = None
    _brpop_sent_at: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        self._pending_fetch: FetchRequest | None = None
        self._waiting_since = 0.0
        self._tracking_socket: object = None
        self._lease: Lease | None = None
        self._no_ack_queues: set[str] = set()
        super().__init__(*args, **options)
        try:
            self._require_fitting_server()
        except BaseException:
            self.close()
            raise

    @cached_property
    def server(self) -> Redis:
        """A client for whole keys: kombu's own one adds the prefix to some of a script's keys and not to others."""
        return Redis(connection_pool=self.pool)

    @property
    def unacked(self) -> tuple[str, str]:
        """Keys of the hash and of the sorted set of unacked messages, as the server knows them."""
        return self.prefixed(self.unacked_key), self.prefixed(self.unacked_index_key)

    @property
    def leases(self) -> str:
        """Key of the sorted set of leases, as the server knows it."""
        return self.prefixed(f"{self.unacked_key}_leases")

    @property
    def holder(self) -> str:
        """Of the lease under which messages are fetched; empty where there is none."""
        return self._lease.holder if self._lease else ""

    def note_of(self, holder: str) -> str:
        """Key of the note that tells which messages a holder has begun, and nothing else."""
        return self.prefixed(f"{self.unacked_key}_begun.{holder}")

    def prefixed(self, key: str) -> str:
        """A key as the server knows it."""
        return f"{self.global_keyprefix}{key}"

    def list_of(self, queue: str, message: Any) -> str:
        """The list of a queue for messages of this priority."""
        return self.prefixed(self._q_for_pri(queue, self._get_message_priority(message, reverse=False)))

    def flush(self) -> None:
        """Send the kept acknowledgements."""
        if isinstance(self.qos, QoS):
            self.qos.flush()

    def stop_waiting_if_long(self) -> None:
        """Make the next tick fetch after `brpop_timeout` seconds of waiting; this shows that the server is there."""
        if self._in_poll and not self._pending_fetch and monotonic() - self._waiting_since >= self.brpop_timeout:
            self._in_poll = None

    def read_push(self) -> None:
        """Read what the server tells while the prefetch count is full. The channel fetches anyway once it is not."""
        try:
            self.client.connection.read_response(push_request=True)
        except self.connection_errors:
            self.client.connection.disconnect()

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **options: Any) -> Any:
        """Begin to consume. no_ack: messages of this queue are not entered as unacked: no acknowledgement follows."""
        (self._no_ack_queues.add if no_ack else self._no_ack_queues.discard)(queue)
        if self._lease is None and not no_ack:
            self._lease = Lease(self.server, self.unacked[1], self.leases)
        return super().basic_consume(queue, no_ack, *args, **options)

    def basic_get(self, queue: str, no_ack: bool = False, **_options: Any) -> Any:
        """One message, or None."""
        try:
            message = self.Message(self._get(queue, no_ack=no_ack), channel=self)
        except Empty:
            return None
        if not no_ack:
            self.qos.append(message, message.delivery_tag)
        return message

    def close(self) -> None:
        """Put back the unacked messages, and end."""
        if not self.closed:
            self._settle()
        super().close()
        if self._lease is not None:
            self._lease.end()
        with suppress(KeyError):
            self.__dict__["server"].connection_pool.disconnect()

    def _get(self, queue: str, timeout: float | None = None, *, no_ack: bool = False) -> dict[str, Any]:
        while True:
            fetch = self._fetch_request([queue], 1, no_ack=no_ack)
            _left, *taken = self.server.execute_command(*fetch.by_text())
            item = next(fetch.items(taken), None)
            if item is None:
                raise Empty
            if (message := self._opened(item)) is not None:
                return message

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        connection = self.client.connection
        if self._tracking_socket is not connection._sock:
            connection.send_command("CLIENT", "TRACKING", "ON", "NOLOOP", check_health=False)
            connection.read_response()
            self._tracking_socket = connection._sock
        self._pending_fetch = self._fetch_request(queues, self.qos.can_consume_max_estimate() or AT_ONCE)
        self._in_poll = connection
        self._brpop_sent_at = monotonic()
        # No health check first, which could connect anew behind the poller's back: the fetch is a check by itself.
        connection.send_command(*self._pending_fetch.by_digest(_DIGEST), check_health=False)

    def _brpop_read(self, **_options: Any) -> bool:
        connection = self.client.connection
        try:
            if self._pending_fetch is None:
                connection.read_response(push_request=True)
                self._in_poll = None
                raise Empty
            found = self._read_answer(connection, self._pending_fetch)
        except self.connection_errors:
            connection.disconnect()
            raise
        finally:
            self._flush_brpop_reauth()
        if not found:
            raise Empty
        self._deliver(found)
        return True

    def _read_answer(self, connection: Any, fetch: FetchRequest) -> list[Item]:
        """Read the items that the script has taken. The channel begins to wait where it left none in the lists."""
        self._pending_fetch = self._brpop_sent_at = self._in_poll = None
        try:
            left, *taken = connection.read_response()
        except NoScriptError:
            connection.send_command(*fetch.by_text(), check_health=False)
            left, *taken = connection.read_response()
        if not left and self._is_silent(connection):
            self._in_poll, self._waiting_since = connection, monotonic()
        return list(fetch.items(taken))

    def _is_silent(self, connection: Any) -> bool:
        """Whether nothing follows the answer. A push behind it tells of more messages, and no poller would see it."""
        try:
            return not connection.can_read()
        except self.connection_errors:
            return False  # the fetched messages are delivered first; the next fetch meets the same error

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._pending_fetch = None
        super()._on_connection_disconnect(connection)

    def _deliver(self, items: Iterable[Item]) -> None:
        """Deliver all items in a row. Where a consumer raises, the rest goes back into its queue."""
        waiting = deque(items)
        try:
            while waiting and not self.closed:
                item = waiting.popleft()
                self._queue_cycle.rotate(item.queue)
                if (message := self._opened(item)) is not None:
                    self.connection._deliver(message, item.queue)
        finally:
            self._put_back(waiting)

    def _put_back(self, items: Sequence[Item]) -> None:
        if items and isinstance(self.qos, QoS):
            with suppress(RedisError):  # entered as unacked, they come back anyway
                self.qos.put_back([item.tag for item in reversed(items)])

    def _settle(self) -> None:
        """Leave nothing half done: put back the messages of a pending fetch, send the kept acknowledgements."""
        if self._pending_fetch is not None:
            with suppress(*self.connection_errors, RedisError):
                self._put_back(self._read_answer(self._in_poll, self._pending_fetch))
        self._in_poll = None
        self.flush()

    def _fetch_request(self, queues: Sequence[str], wanted: int, *, no_ack: bool = False) -> FetchRequest:
        """A request for messages of these queues, by priority first."""
        no_acks = set(queues) if no_ack or not self.ack_emulation else self._no_ack_queues
        sources = [
            Source(self.prefixed(self._q_for_pri(queue, step)), queue, "" if queue in no_acks else address_of(queue))
            for step in self.priority_steps
            for queue in queues
        ]
        return FetchRequest(self.unacked, self.leases, sources, wanted, self.holder)

    def _opened(self, item: Item) -> dict[str, Any] | None:
        """The message in an item. An item that is none is moved to the unreadable list."""
        message = opened(item.content, item.queue, item.tag, self.decode_body)
        if message is None:
            unreadable = self.prefixed(item.queue + UNREADABLE)
            self.server.eval(MOVE_TO_UNREADABLE, 3, *self.unacked, unreadable, item.tag, item.content)
        return message

    def _require_fitting_server(self) -> None:
        connection = self.async_pool.get_connection()
        try:
            require_fitting_server(connection.handshake_metadata)
        finally:
            self.async_pool.release(connection)


class SentinelChannel(Channel, stock.SentinelChannel):
    """The same through Sentinel, which names the server to talk to."""

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        client = self.connection.client
        alternates = client.alt
        # Stock kombu knows the others by its own scheme. They keep ours, or a failover would end in its transport.
        client.alt = [url.removeprefix(PREFIX) for url in alternates]
        try:
            return super()._sentinel_managed_pool(asynchronous)
        finally:
            client.alt = alternates
