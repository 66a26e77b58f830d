"""Several fits at once, from other starts."""
