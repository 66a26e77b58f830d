"""Gradient training: which parameters move, by which optimiser, for how long."""
