"""Rows of one width each, straight into a table."""
