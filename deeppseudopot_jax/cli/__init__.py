"""The command line: what `deeppseudopot` understands."""
