"""What whoever measures starts from: a window's audit labels."""
