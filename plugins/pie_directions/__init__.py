"""Edits along straight lines of W: semantic directions fitted on the generator's own samples (InterFaceGAN)."""
