"""How entries leave a lease: answered, given back, skipped, escalated."""
