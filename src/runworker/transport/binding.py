"""Bindings of queues on a full server: consumers bind their queues before they consume, and empty it only then."""

from functools import cached_property
from typing import Any

from kombu.transport import redis as stock
from redis import Redis
from redis.exceptions import OutOfMemoryError

from runworker.transport.scripts import ALLOW_OOM, BIND


class BindingChannel(stock.Channel):
    """kombu's channel, but a full server does not keep it from binding a queue."""

    @cached_property
    def _refresh_binding(self) -> Any:
        return self._create_client().register_script(ALLOW_OOM + stock.REFRESH_BINDING)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: Any, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError:
            keys = [
                f"{self.global_keyprefix}{key % (exchange,)}"
                for key in (self.keyprefix_queue, self.keyprefix_binding_permanent)
            ]
            member = self.sep.join([routing_key or "", pattern or "", queue or ""])
            Redis(connection_pool=self.pool).eval(BIND, len(keys), *keys, member)
