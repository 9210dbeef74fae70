"""Alarms that stand, and those that ended."""
