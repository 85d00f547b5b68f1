"""The proxy of `runworker chaos` before a server that a URL names."""

from sqlalchemy import make_url

from runworker.simulation.chaos import proxy


class Proxy(proxy.Proxy):
    """Stands before the server at `url`, as long as its block lasts. `url`: where to connect instead."""

    def __init__(self, url: str) -> None:
        behind = make_url(url)
        is_redis = behind.drivername.startswith("redis")
        super().__init__(behind.port or (6379 if is_redis else 5432), server_host=behind.host or proxy.HOST)
        through = behind.set(host=proxy.HOST, port=self.port)
        if not is_redis:
            through = through.update_query_dict({"sslmode": "disable"})  # in clear text, for the proxy reads along
        self.url = through.render_as_string(hide_password=False)
