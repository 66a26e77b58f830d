"""Eigensolvers: they know matrices and operators, nothing of crystals or potentials."""
