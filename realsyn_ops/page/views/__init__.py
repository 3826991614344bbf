"""One module a view: its routes, and what they read."""
