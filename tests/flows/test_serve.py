"""`hitl serve` as a process: it answers, it stops when it is told to, and leaves with 0."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flows.serve import AddressRefused, listen

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@contextmanager
def served(
    database_url: str, state: Path, *more: str, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Where `hitl serve` answers, and its process."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HITL_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", "serve", "--port", "0", *more],
        env=env | {"HITL_DATABASE_URL": database_url, "HITL_STATE": str(state)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.search(r"http://\S+?(?=;)", said)
        assert found, said
        yield found[0], process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_told_to_stop(
    database_url: str, tmp_path: Path, sign: signal.Signals
) -> None:
    with served(database_url, tmp_path) as (url, process):
        answer = httpx.get(f"{url}/healthz", trust_env=False)
        process.send_signal(sign)
        _, errors = process.communicate(timeout=60)

    assert 200 == answer.status_code
    assert (0, "") == (process.returncode, errors)


def test_a_port_in_use_is_refused_with_what_to_do() -> None:
    held = listen("127.0.0.1", 0)
    port = held.getsockname()[1]

    with pytest.raises(AddressRefused, match=rf"127.0.0.1:{port} is in use; give another --port"):
        listen("127.0.0.1", port)
    held.close()
