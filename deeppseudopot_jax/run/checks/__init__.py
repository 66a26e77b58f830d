"""What a run will do, whether it can, and what of its bundle has no effect."""
