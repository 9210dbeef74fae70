"""Stored figures: what a window's decisions were worth, as reports and dashboards read it."""

from hitl.evaluation.measurements.store import Measurement, record_measurements

__all__ = ["Measurement", "record_measurements"]
