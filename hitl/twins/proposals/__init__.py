"""A reviewed member's labels, offered to its near copies; some of them by chance to be checked."""
