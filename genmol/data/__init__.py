"""Readers and data sets: source, level of theory, hash, split."""
