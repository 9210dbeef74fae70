"""How fast audit labels come, and how long a reviewer takes over one."""
