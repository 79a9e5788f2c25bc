"""The five energies of PIE, one module each."""
