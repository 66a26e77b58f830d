"""The Hamiltonian H(k): one file per term, built once per system, applied often."""
