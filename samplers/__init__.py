"""Samplers of densities: given a log-density and its gradient, draw from it and say how well.

This package knows spaces and densities and nothing of molecules; it imports nothing of ``genmol``.
"""
