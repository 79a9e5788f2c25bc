"""Edits by meaning: from a control such as `rotation.yaw=15` to a picture that was read back."""
