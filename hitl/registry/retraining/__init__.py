"""Whether to train anew, as it was decided."""
