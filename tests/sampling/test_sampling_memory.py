from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROBE = Path(__file__).with_name("memory_probe.py")
ROOT = PROBE.parents[2]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux, which can refuse memory"
)
def test_no_strategy_holds_a_pool_that_stays_on_disk(tmp_path: Path) -> None:
    # 98 MiB of embeddings; strategies take up to 55 beside them, and may take 80.
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.standard_normal((200_000, 128), dtype=np.float32))
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    environment = {
        **os.environ,
        **one_thread,
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
    }

    probe = subprocess.run(
        [sys.executable, str(PROBE), str(tmp_path / "rows.npy"), "80"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    *too_large, last = probe.stdout.splitlines() or [""]
    assert "done" == last, probe.stderr
    # The last one does copy the pool, to show that it would be noticed.
    assert ["copying"] == [line.split()[0] for line in too_large], probe.stderr
