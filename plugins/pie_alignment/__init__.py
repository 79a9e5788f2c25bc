"""From any photo to the portrait the generator knows: landmark detection and alignment.

Nothing is imported here, so that the plugin can be listed without loading torch.
"""
