"""Eigensolvers: they know matrices and operators, nothing of crystals or potentials."""

from deeppseudopot_jax.eigensolvers.blas_threads import keep_to_one_thread

keep_to_one_thread()
