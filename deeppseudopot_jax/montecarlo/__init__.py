"""Monte Carlo fits: moves, Metropolis kernels, delayed acceptance, parallel tempering."""
