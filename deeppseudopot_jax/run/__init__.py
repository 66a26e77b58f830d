"""A run: what it will do, its stages in order, all that prints; the command line."""
