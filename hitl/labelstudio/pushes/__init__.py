"""Pushes: which entries are to become tasks, written down before the call that makes them."""
