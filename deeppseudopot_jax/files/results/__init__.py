"""Writing the results folder: tables, checkpoints and figures, from records and arrays."""
