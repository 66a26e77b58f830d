"""The stages of a run, each with its files and log lines."""
