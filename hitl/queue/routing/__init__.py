"""What lanes and quotas need to know of items and entries."""
