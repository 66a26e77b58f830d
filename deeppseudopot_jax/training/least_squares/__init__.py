"""Levenberg-Marquardt: Jacobians by Hellmann-Feynman on shells, and damped steps."""
