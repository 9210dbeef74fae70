"""Decisions into their table."""
