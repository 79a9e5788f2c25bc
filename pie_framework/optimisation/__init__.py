"""E(w) and how it is made small: objective, prior, stages, steps as values (§2, §3)."""
