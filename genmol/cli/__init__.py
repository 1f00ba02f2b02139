"""The command line: one file per verb.

A verb module ``genmol/cli/<verb>.py`` holds a frozen dataclass ``Config``, which is the verb's
Python interface, help text and saved settings at once, and ``run(config) -> int``, which returns
the exit code. Its top level imports nothing heavy; :mod:`genmol.cli.main` loads it only when its
verb is called.
"""
