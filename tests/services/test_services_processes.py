from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hitl.services import processes
from hitl.services.processes import ProcessRecord

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
    "time.sleep(60)",
]
HOME = Path("/nowhere/state")
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)",
]


@pytest.fixture
def mark() -> Iterator[str]:
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield f"{name}:server"
    processes.kill(processes.marked(name))


def spawn(command: list[str], mark: str, output: int = subprocess.DEVNULL) -> ProcessRecord:
    return processes.spawn(command, mark=mark, home=HOME, env={}, cwd=Path("/"), output=output)


def settle(claim: object) -> bool:
    return processes.wait_until(
        claim,  # type: ignore[arg-type]
        timeout_seconds=20,
        sleep=time.sleep,
        now=time.monotonic,
        step_seconds=0.02,
    )


def test_a_started_process_is_found_by_its_record(mark: str) -> None:
    record = spawn(SLEEP, mark)

    found = processes.find(record)

    assert found is not None
    assert record.pid == found.pid


def test_a_recycled_pid_is_not_ours() -> None:
    somebody = psutil.Process()
    record = ProcessRecord(somebody.pid, somebody.create_time() - 100)

    assert processes.find(record) is None


def test_a_process_that_ended_is_not_alive_even_before_anybody_waits_for_it(mark: str) -> None:
    record = spawn([sys.executable, "-c", "pass"], mark)

    assert settle(lambda: not processes.is_alive(record))


def test_a_record_survives_its_note(mark: str) -> None:
    record = ProcessRecord(12, 34.5)

    assert record == ProcessRecord.from_note(record.as_note())
    assert ProcessRecord.from_note({}) is None


def test_the_mark_finds_children_of_a_start_that_was_never_noted(mark: str) -> None:
    spawn(PARENT, mark)

    assert settle(lambda: len(processes.marked(mark)) == 2)
    assert 2 == len(processes.marked(mark.removesuffix(":server")))


def test_another_mark_that_begins_alike_is_not_found(mark: str) -> None:
    spawn(SLEEP, mark + "-too")

    assert [] == processes.marked(mark)


def test_a_server_is_found_by_the_path_of_the_folder_it_was_started_for(mark: str) -> None:
    record = spawn(SLEEP, mark)

    found = [process.pid for process in processes.started_for(HOME)]

    assert record.pid in found
    assert [] == processes.started_for(HOME / "other")


@pytest.mark.parametrize("nobodys", ["", ":", ":server"])
def test_an_empty_mark_finds_nobody(nobodys: str) -> None:
    assert [] == processes.marked(nobodys)


def test_looking_for_a_mark_never_finds_the_one_who_looks(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {processes.MARK: mark})
    monkeypatch.setattr(psutil, "process_iter", lambda: [psutil.Process()])

    assert [] == processes.marked(mark)


def test_a_process_outlives_the_terminal_of_its_starter(mark: str) -> None:
    record = spawn(SLEEP, mark)

    assert os.getsid(record.pid) != os.getsid(0)


def test_ending_is_asked_first_and_forced_after_the_grace(mark: str) -> None:
    reader, writer = os.pipe()
    record = spawn(DEAF, mark, output=writer)
    os.close(writer)
    os.read(reader, 1)  # it ignores SIGTERM from here on
    deaf = processes.find(record)
    assert deaf is not None

    processes.end([deaf], grace_seconds=0.3)

    os.close(reader)
    assert not processes.is_alive(record)


def test_ending_a_process_ends_its_children(mark: str) -> None:
    record = spawn(PARENT, mark)
    assert settle(lambda: len(processes.marked(mark)) == 2)
    parent = processes.find(record)
    assert parent is not None

    processes.end([parent], grace_seconds=5)

    assert [] == processes.marked(mark)


def test_ending_what_is_dead_already_does_no_harm(mark: str) -> None:
    record = spawn(SLEEP, mark)
    process = processes.find(record)
    assert process is not None
    os.kill(record.pid, signal.SIGKILL)

    processes.end([process], grace_seconds=5)
    processes.end([process], grace_seconds=5)

    assert not processes.is_alive(record)


def test_waiting_gives_up_at_the_deadline() -> None:
    clock = iter(range(100))

    came = processes.wait_until(
        lambda: False, timeout_seconds=5, sleep=lambda _: None, now=lambda: float(next(clock))
    )

    assert not came
    assert 6 == next(clock)  # start 0, deadline 5: asked at 1..5, then no more
