"""Finished tasks that Label Studio need not hold any more: all of them is in our tables."""
