"""Both flows through a network that breaks, at a real Label Studio: nothing lost or doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from flows import steps
from flows.dispatch_batch import dispatch_batch
from hitl.labelstudio import LabelStudioClient
from tests.conftest import RunningLabelStudio
from tests.faults.killing import seed_of
from tests.faults.proxy import FAULTS, Fault, Proxy, at_random
from tests.faults.storm import Storm

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

# How long a client waits, a late request travels, and a dispatch lets things settle. In service
# these are 60 s, unknown and 5 s; here a late one comes before the settling is over, or after it.
PATIENCE, LATE, SETTLE = 1.5, 2.5, 1.0
ROUNDS = 4


@pytest.fixture
def storm(
    engine: Engine, label_studio_server: RunningLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storm]:
    url, token = label_studio_server.url, SecretStr(label_studio_server.token)
    monkeypatch.setitem(dispatch_batch.__kwdefaults__, "settle_seconds", SETTLE)
    headers = {"Authorization": f"Token {label_studio_server.token}"}
    with (
        Proxy(url, late_seconds=LATE) as proxy,
        httpx.Client(base_url=url, headers=headers, timeout=60) as people,
    ):
        yield Storm(
            engine,
            proxy,
            LabelStudioClient(proxy.url, token, timeout_seconds=PATIENCE),
            LabelStudioClient(url, token),
            people,
            random.Random(seed_of("storm")),
        )


def test_a_storm_of_every_fault_loses_and_doubles_nothing(storm: Storm) -> None:
    seed = seed_of("storm")
    storm.proxy.choose = at_random(seed, share=0.25)
    storm.wait(30)

    for _ in range(ROUNDS):
        storm.round()
    storm.recover()

    where = f"HITL_FAULT_SEED={seed}, {storm.proxy.met}"
    assert [] == storm.broken_promises(), where
    assert storm.unavailable > 0, "the storm was none"
    storm.finish()
    assert [] == storm.broken_promises(), where


@pytest.mark.parametrize("fault", FAULTS)
def test_an_import_that_meets_a_fault_makes_each_task_once(storm: Storm, fault: Fault) -> None:
    met: list[Fault] = []

    def once(method: str, path: str) -> Fault:
        if path.endswith("/import") and not met:
            met.append(fault)
            return fault
        return Fault.NONE

    storm.proxy.choose = once
    storm.wait(8)

    storm.insist(steps.dispatch_batch)
    storm.recover()

    assert [fault] == met
    assert [] == storm.broken_promises()
    assert 8 == len(storm.open_tasks())
