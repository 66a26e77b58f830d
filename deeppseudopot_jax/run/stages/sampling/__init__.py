"""The Monte Carlo stage of a run: chains with their files, tables and checkpoints."""
