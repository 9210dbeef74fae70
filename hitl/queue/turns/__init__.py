"""Whose turn it is: priorities, deadlines and the order that follows from both."""
