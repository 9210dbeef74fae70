"""What `hitl demo` is made of."""
