"""Equivariant networks, one file an architecture, one contract: AtomicGraph -> Features."""
