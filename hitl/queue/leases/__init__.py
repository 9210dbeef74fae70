"""Leases: what a tool that pulls work holds, and for how long."""
