"""PyTorch checkpoints (.pth), read and written without PyTorch, and read without running code."""

from deeppseudopot_jax.files.torch_pickle.read import UnsafePickleError, read_checkpoint
from deeppseudopot_jax.files.torch_pickle.states import read_optimizer_state, read_state_dict
from deeppseudopot_jax.files.torch_pickle.write import write_checkpoint

__all__ = [
    "UnsafePickleError",
    "read_checkpoint",
    "read_optimizer_state",
    "read_state_dict",
    "write_checkpoint",
]
