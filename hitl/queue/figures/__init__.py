"""What the queue's figures are, by lane and by person."""
