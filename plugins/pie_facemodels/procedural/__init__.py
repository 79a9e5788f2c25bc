"""A morphable face model made of formulas: no scans, no licence, named coefficients."""
