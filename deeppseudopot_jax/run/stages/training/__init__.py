"""Gradient training with its files, which a run that is resumed goes on with."""
