"""Scripts that run in Label Studio's own virtual environment. They must not import hitl.

The folder is put on that Python's path; it holds nothing else, so it shadows nothing.
"""
