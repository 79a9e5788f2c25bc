"""The command line: one file per sub-command; nothing heavy is imported until one is dispatched."""
