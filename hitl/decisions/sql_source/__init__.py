"""Rows from somebody else's database."""
