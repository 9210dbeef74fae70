"""A pool in parts: where they lie, what each hands over, who works on them.

`sampling.partition.choose_partitioned` puts it together.
"""
