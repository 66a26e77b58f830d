"""Processes that the tests start."""

import os

QUICKLY_COMPILED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **os.environ}
"""The environment of one that compiles as the tests do, see conftest.py."""
