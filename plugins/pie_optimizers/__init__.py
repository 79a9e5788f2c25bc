"""Update rules for the latent, one module each."""
