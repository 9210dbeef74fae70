"""Looks at a backlog as they are stored."""
