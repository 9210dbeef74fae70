"""Chunks on their way into the tables."""
