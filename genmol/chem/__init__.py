"""Chemistry in the sense of bonds and valence. The only home of RDKit."""
