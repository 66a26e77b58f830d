"""Numbers a physicist asks for, differentiable in the parameters."""
