"""Parts of `dispatch_batch`: a push becomes tasks, and what it tells of itself."""
