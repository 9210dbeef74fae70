"""A human-in-the-loop active-learning pipeline for content moderation."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("hitl")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
