"""Flower's configuration in the container. Flower executes this file and takes the names it knows.

A view and never the record: it shows what workers tell it, and can change nothing.
"""

import os
from pathlib import Path

_secrets = Path(os.environ.get("RUNWORKER_SECRETS_DIR", "/run/secrets"))

# USER:PASSWORD. Guards every page but /metrics and /healthcheck, which Flower leaves open: publish it on loopback only.
basic_auth = [(_secrets / "flower_basic_auth").read_text().strip()]
read_only = True
port = int(os.environ.get("PORT", "5555"))
max_tasks = 10_000  # kept in memory, whole
max_workers = 100
purge_offline_workers = 3600  # seconds
