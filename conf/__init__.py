"""Hydra configuration: a folder per group; `config.yaml` holds the defaults."""
