"""URL schemes of the reliable transport, beside kombu's own: `runworker-redis://` and so on."""

from typing import Final

from kombu.transport import TRANSPORT_ALIASES

PREFIX: Final = "runworker-"
# No plus sign: kombu takes what stands before one for the whole transport, and what follows for its business.

_TRANSPORTS: Final = {"redis": "Transport", "rediss": "TlsTransport", "sentinel": "SentinelTransport"}


def register() -> None:
    """Make kombu know the schemes."""
    for scheme, transport in _TRANSPORTS.items():
        TRANSPORT_ALIASES[PREFIX + scheme] = f"runworker.transport.transports:{transport}"


def reliable(url: str) -> str:
    """`url` under our scheme, and each of its alternates (`sentinel://one;sentinel://two`): failovers stay with us."""
    return ";".join(f"{PREFIX}{each}" for each in url.split(";"))
