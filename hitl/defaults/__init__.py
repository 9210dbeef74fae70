"""The policy and recipe that ship with the demo, to run with and to copy from."""

from pathlib import Path


def folder() -> Path:
    """Where policy.toml and recipe.toml lie."""
    return Path(__file__).parent
