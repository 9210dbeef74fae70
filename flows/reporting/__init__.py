"""What pages are made of: figures, pictures, words, and files."""
