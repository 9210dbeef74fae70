"""Annotations that were kept and not counted, for a person to look at."""
