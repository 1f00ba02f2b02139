"""Groups and their representations: rotations, edge frames, blocks of matrices."""
