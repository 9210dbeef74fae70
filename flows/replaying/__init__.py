"""What `hitl replay` is made of."""
