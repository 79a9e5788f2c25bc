"""Photos in and out, and how alike two pictures are."""
