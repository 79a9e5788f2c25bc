"""What `pie bench models` measures of each model. Importing it imports no torch."""
