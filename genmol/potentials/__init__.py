"""Energies and forces of a batch of structures behind one contract, whatever computes them.

===============================  ==================================================================
module                           content
===============================  ==================================================================
:mod:`~.contract`                :class:`~.contract.Potential`: domain, counts, failures
:mod:`~.one_by_one`              base of potentials that take a structure at a time
:mod:`~.lennard_jones`           clusters of one element
:mod:`~.mmff`                    MMFF94 and MMFF94s through RDKit, for one bond graph
:mod:`~.gfn2`                    GFN2-xTB through tblite, in the gas phase or in ALPB solvents
:mod:`~.dft`                     Kohn-Sham and Hartree-Fock through PySCF
:mod:`~.ase_calculator`          any ASE calculator
:mod:`~.pool`                    any of them, spread over processes that stay alive
:mod:`~.target`                  the Boltzmann law of a molecule, for :mod:`samplers`
===============================  ==================================================================
"""
