"""Checkpoints of other StyleGAN programs, read as data and turned into this package's networks."""
