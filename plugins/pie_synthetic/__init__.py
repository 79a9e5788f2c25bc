"""The embedded world: whole portraits of sampled scenes, with their 3DMM parameters known exactly.

Nothing is imported here, so that the plugin can be listed without loading torch.
"""
