"""report.html of a results folder: one module per section, and who puts them together."""
