"""What `hitl stress` is made of."""
