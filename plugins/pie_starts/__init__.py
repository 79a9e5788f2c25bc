"""Where the optimisation starts, one module each."""
