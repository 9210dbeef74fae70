"""`python -m benchmarks`: every benchmark, one after the other.

Exit 0 if every bar is met, 1 if one is missed or a benchmark broke, 2 if one had no data or no
peer to run on.
"""

from __future__ import annotations

import subprocess
import sys

ALL = (
    "benchmarks.text_model",
    "benchmarks.earlier_model",
    "benchmarks.k_center",
    "benchmarks.badge",
    "benchmarks.two_stage",
    "benchmarks.top_k",
    "benchmarks.sampler_memory",
    "benchmarks.near_duplicates",
    "benchmarks.twins",
    "benchmarks.serving",
    "benchmarks.label_efficiency",
    "benchmarks.scale",
    "benchmarks.intake",
    "benchmarks.queue",
    "benchmarks.bridge",
    "benchmarks.certificates",
    "benchmarks.drift",
    "benchmarks.estimates",
    "benchmarks.measuring",
    "benchmarks.worlds",
    "benchmarks.label_saving",
    "benchmarks.real_log",
)
MET, NO_DATA = 0, 2
_WORDS = {1: "missed a bar", NO_DATA: "had no data or no peer to run on; see what it says above"}


def main() -> int:
    """Run each in a process of its own, so that none inherits another's threads or memory."""
    ended = {name: subprocess.run([sys.executable, "-m", name]).returncode for name in ALL}
    for name, code in ended.items():
        if code != MET:
            print(f"{name} {_WORDS.get(code, f'broke (exit {code})')}", file=sys.stderr)
    if all(code in (MET, NO_DATA) for code in ended.values()):
        return max(ended.values())
    return 1


if __name__ == "__main__":
    sys.exit(main())
