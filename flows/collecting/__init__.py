"""Parts of collecting: what a look keeps, what it archives, and who looks beside webhooks."""
