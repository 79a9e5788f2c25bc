"""What `pie run` does and leaves: the run folder, its checkpoint, the report."""
