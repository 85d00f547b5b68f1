"""runworker: takes a food plant's production commands from a queue and writes them to PostgreSQL."""

__version__ = "0.1.0"
