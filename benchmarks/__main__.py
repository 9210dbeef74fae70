"""`python -m benchmarks`: every benchmark, one after the other. Exit 1 if one misses its bar."""

from __future__ import annotations

import subprocess
import sys

ALL = ("benchmarks.text_model",)


def main() -> int:
    """Run each in a process of its own, so that none inherits another's threads or memory."""
    missed = [name for name in ALL if subprocess.run([sys.executable, "-m", name]).returncode]
    for name in missed:
        print(f"{name} missed a bar", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
