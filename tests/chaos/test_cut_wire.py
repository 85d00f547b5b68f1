"""A wire that is cut without a word: nothing comes through, nothing ends. Nobody waits for long, and all go on by
themselves when the wire is whole again."""

import signal
import time
from itertools import chain

import pytest
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from tests.acceptance.test_killed_workers import assert_one_effect
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.chaos.conftest import Site
from tests.crew import eventually
from tests.plant import STEPS
from tests.proxy import Proxy

from runworker.client import Client
from runworker.workers.processes import STOP_SECONDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

WAIT_SECONDS = 20
AGAIN_SECONDS = 10


def test_nobody_waits_for_long_and_all_go_on_when_the_wire_is_whole(site: Site) -> None:
    """Workers on either transport, and a sender."""
    crew, plant = site.crew, site.plant
    with Proxy(crew.broker_url) as wire, Client(wire.url, issued_by=plant.user("ADMIN")) as client:
        ours = crew.hire(broker_url=SecretStr(wire.url))
        # Stock kombu has no leases: what it had taken comes back after the visibility timeout.
        kombus = crew.hire(broker_url=SecretStr(wire.url), reliable_transport=False, visibility_timeout_seconds=5)
        client.start_run(flow_version_id=plant.version())
        crew.wait_until_idle()

        wire.fall_silent()
        silent_at = time.monotonic()
        with pytest.raises(OperationalError):
            client.start_run(flow_version_id=plant.version())
        eventually(lambda: crew.written().count("Connection to broker lost") == 2, "both workers noticing")
        assert time.monotonic() - silent_at < WAIT_SECONDS

        sent = crew.send("start_run")
        wire.come_back()
        whole_at = time.monotonic()
        assert crew.verdict(sent)["status"] == "APPLIED"
        assert time.monotonic() - whole_at < AGAIN_SECONDS
        names = {worker.name for worker in (ours, kombus)}
        eventually(lambda: {*chain.from_iterable(crew.upstream.control.ping())} == names, "both under control again")
        ours.send(signal.SIGTERM)
        ours.wait(STOP_SECONDS)
        client.start_run(flow_version_id=plant.version()).wait()
        crew.wait_until_idle()
        assert (ours.exit_code, kombus.exit_code) == (0, None)


def test_what_a_worker_was_doing_when_its_wire_was_cut_is_done_once(site: Site) -> None:
    """Its lease lapses and another does it. It comes back, and finds nothing left to acknowledge or to put back."""
    crew = site.crew
    with Proxy(crew.broker_url) as wire:
        first = crew.hire(broker_url=SecretStr(wire.url), broker_timeout_seconds=1)
        run = started(crew)
        with locked(crew, run):
            sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
            wait_until_in_work(crew)
            wire.fall_silent()
            second = crew.hire()
            wait_until_in_work(crew, how_often=2)
            wire.come_back()
        assert crew.verdict(sent)["status"] == "APPLIED"
        assert_one_effect(crew, sent, run)
        assert crew.verdict(crew.send("hold_run", run_id=run, reason="after the wire was cut"))["status"] == "APPLIED"
        crew.wait_until_idle()
        assert (first.exit_code, second.exit_code) == (None, None)
