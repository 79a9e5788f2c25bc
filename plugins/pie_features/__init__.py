"""Feature networks: Φ (perceptual) and Ψ (recognition), with the recipes that train them.

Nothing is imported here, so that the plugin can be listed without loading torch.
"""
