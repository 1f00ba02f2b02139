"""Boltzmann conformers with a verdict.

From the outside in: :mod:`~genmol.boltzmann.conformer_job` takes a molecule to a certified set of
conformers, :mod:`~genmol.boltzmann.density_job` any density. Sampling is in
:mod:`~genmol.boltzmann.engine` (parallel tempering), :mod:`~genmol.boltzmann.delayed` (delayed
acceptance) and :mod:`~genmol.boltzmann.smc`, whose moves are in :mod:`~genmol.boltzmann.sweep`. What the
draws say is in :mod:`~genmol.boltzmann.observables`, and whether they may say it in
:mod:`~genmol.boltzmann.check`.
"""
