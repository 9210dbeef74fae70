"""Which items a new champion decides on."""
