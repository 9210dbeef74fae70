"""Who is champion, and how that changes."""
