"""PIE: portrait image embedding for semantic control."""
