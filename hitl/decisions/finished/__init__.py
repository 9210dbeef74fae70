"""How far a file was taken in."""
