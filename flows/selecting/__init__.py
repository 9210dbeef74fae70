"""What a batch is chosen from, and who stands for whom in it."""
