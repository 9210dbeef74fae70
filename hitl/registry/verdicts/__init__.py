"""What the gate said, of whom, and by which rules."""
