"""What intake set aside, for a person to look at."""
