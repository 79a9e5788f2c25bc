"""`pie bench`: methods measured on portraits whose true edits are known. Importing it imports no torch."""
