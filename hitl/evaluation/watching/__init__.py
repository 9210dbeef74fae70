"""What was decided lately, in counts."""
