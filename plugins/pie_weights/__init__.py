"""Weight files for all who read them: foreign ones as data (`untrusted`), our own with their header (`files`).

A library that plugins share; it declares no component. Importing it imports no torch.
"""
