"""What a model may decide without a person."""
