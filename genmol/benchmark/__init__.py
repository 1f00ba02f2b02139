"""Measurements against baselines: fixed molecules, one thread, one JSON file."""
