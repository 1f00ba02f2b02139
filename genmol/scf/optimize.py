"""Geometry optimisation: geomeTRIC steps, our solver underneath, every guess carried over.

geomeTRIC (Wang and Song, J. Chem. Phys. 144, 214108, 2016) moves in translation-rotation-internal
coordinates and asks for energies and gradients. Each geometry is solved from the density that the
Grassmann extrapolation predicts from the ones before.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from genmol.core.errors import DeliveryError, InputError
from genmol.core.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
from genmol.qc.extrapolate import GrassmannExtrapolator
from genmol.scf.certified import Solved, mean_field, solve
from genmol.scf.settings import Settings

__all__ = ["optimize"]


def optimize(
    atoms: Atoms,
    settings: Settings,
    *,
    max_steps: int = 100,
    on_step: Callable[[int, Solved], None] = lambda step, solved: None,
) -> tuple[Atoms, Solved, list[dict[str, Any]]]:
    """Minimise the energy with geomeTRIC's default criteria (gradient 4.5e-4 Hartree/Bohr at most).

    Args:
        atoms: starting structure, Å; not changed.
        settings: level of theory; forces are switched on.
        max_steps: geometries evaluated at most.
        on_step: called with the step number and its solve.

    Returns:
        The optimised structure, the solve at it, and one row (energy, builds, largest force) a step.

    Raises:
        InputError: a single atom.
        DeliveryError: the SCF failed at a geometry, or the optimisation did not converge.
    """
    if len(atoms) == 1:
        raise InputError(
            got="the optimisation of a single atom",
            wanted="at least two atoms",
            remedy="leave --optimize out",
        )
    from geometric import engine, internal, molecule
    from geometric import optimize as driver
    from geometric.errors import GeomOptNotConvergedError

    settings = replace(settings, forces=True, guess_file=None)
    extrapolator = GrassmannExtrapolator()
    rows: list[dict[str, Any]] = []
    last: dict[str, Any] = {}

    class SolverEngine(engine.Engine):
        def calc_new(self, coords: np.ndarray, dirname: str) -> dict[str, Any]:  # noqa: ARG002
            here = atoms.copy()
            here.positions = coords.reshape(-1, 3) * BOHR_TO_ANGSTROM
            mf = mean_field(here, settings)
            density = extrapolator.predict(mf)
            solved = solve(mf, settings, density=density, density_name="extrapolated")
            if solved.report.energy_hartree is None:
                raise DeliveryError(
                    got=f"an SCF that did not converge at step {len(rows)} of the optimisation",
                    wanted="a converged energy at every geometry",
                    remedy="start from a better geometry, for example one relaxed with GFN2-xTB",
                )
            extrapolator.add(solved.mf)
            forces = np.array(solved.report.properties["forces_ev_per_angstrom"])
            rows.append(
                {
                    "energy_hartree": solved.report.energy_hartree,
                    "exact_fock_builds": solved.report.exact_fock_builds,
                    "cheap_fock_builds": solved.report.cheap_fock_builds,
                    "guess": solved.report.guess,
                    "max_force_ev_per_angstrom": float(np.linalg.norm(forces, axis=1).max()),
                }
            )
            last.update(atoms=here, solved=solved)
            on_step(len(rows), solved)
            gradient = -forces / HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
            return {"energy": solved.report.energy_hartree, "gradient": gradient.ravel()}

    start = molecule.Molecule()
    start.elem, start.xyzs = list(atoms.symbols), [atoms.positions.copy()]
    coordinates = internal.DelocalizedInternalCoordinates(start, build=True)
    with tempfile.TemporaryDirectory() as folder, _silenced("geometric"):
        parameters = driver.OptParams(maxiter=max_steps)
        parameters.xyzout = str(Path(folder) / "steps.xyz")
        try:
            driver.Optimize(
                atoms.positions.ravel() / BOHR_TO_ANGSTROM,
                start,
                coordinates,
                SolverEngine(start),
                folder,
                parameters,
            )
        except GeomOptNotConvergedError as error:
            raise DeliveryError(
                got=f"a geometry that is not converged after {len(rows)} steps",
                wanted="a minimum by geomeTRIC's criteria",
                remedy="raise --max-steps, or start from a better geometry",
            ) from error
    return last["atoms"], last["solved"], rows


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Keep a library's log away from ours."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
