"""``genmol sample``: Boltzmann conformers, draws of a toy, or a check of anybody's samples."""

from __future__ import annotations

from genmol.cli.sample_config import Config, refuse
from genmol.core.threads import set_threads

__all__ = ["Config", "run"]


def run(config: Config) -> int:
    """Run the command; returns the exit code."""
    set_threads(config.threads)
    refuse(config)
    if config.check is not None:
        from genmol.cli.sample_check import check

        return check(config)
    if config.toy is not None:
        from genmol.cli.sample_toy import sample_toy

        return sample_toy(config)
    from genmol.cli.sample_molecule import sample_input

    return sample_input(config)
