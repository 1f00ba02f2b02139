"""Density functionals as a potential: PySCF's energies and gradients, forces, failures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import WATER, batch, check_batch_is_single, check_forces, check_motions, shaken
from pyscf import dft, gto, scf

import genmol.potentials.dft as module
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.core.jsonable import dumps
from genmol.core.units import (
    BOHR_TO_ANGSTROM,
    HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
    HARTREE_TO_EV,
)
from genmol.potentials.dft import DFT

HF = {"xc": "hf", "basis": "sto-3g"}
H2 = Atoms("HH", [[0, 0, 0], [0.1, 0, 0.75]])
H2_CATION = Atoms("HH", [[0, 0, 0], [0.1, 0, 1.05]], info={"charge": 1})


def oracle(atoms: Atoms, xc: str | None) -> tuple[float, np.ndarray]:
    """Stock PySCF."""
    charge = atoms.info.get("charge", 0)
    bohr = [
        *zip(
            atoms.get_chemical_symbols(), (atoms.positions / BOHR_TO_ANGSTROM).tolist(), strict=True
        )
    ]
    mol = gto.M(atom=bohr, unit="Bohr", basis="sto-3g", charge=charge, spin=charge, verbose=0)
    mf = (scf.RHF if charge == 0 else scf.UHF)(mol)
    if xc is not None:
        mf = dft.RKS(mol, xc=xc)
        mf.grids.level = 1
    mf.conv_tol = 1e-12
    energy = mf.kernel() * HARTREE_TO_EV
    gradient = mf.nuc_grad_method()
    return energy, -gradient.kernel() * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM


@pytest.mark.parametrize(
    ("atoms", "xc"), [(WATER, None), (H2_CATION, None), (WATER, "pbe")], ids=["RHF", "UHF", "PBE"]
)
def test_it_is_what_pyscf_says(atoms: Atoms, xc: str | None) -> None:
    found = DFT(xc=xc or "hf", basis="sto-3g", grid=1).evaluate(AtomicGraph.from_atoms(atoms))
    energy, forces = oracle(atoms, xc)
    assert float(found.energies) == pytest.approx(energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=2e-3)


def test_laws(rng: np.random.Generator) -> None:
    potential = DFT(**HF, conv_tol=1e-11)
    frames = [*shaken(WATER, 1, rng), H2_CATION, H2]
    check_forces(potential, batch(frames[:2]), rng, tolerance=2e-4, step=5e-3, directions=1)
    check_batch_is_single(potential, frames[1:])
    check_motions(potential, H2, rng, tolerance=2e-4)


def test_an_energy_alone_computes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "nuclear_forces", lambda mf: asked.append(mf) or np.zeros((2, 3)))
    potential = DFT(**HF)
    potential.energies(AtomicGraph.from_atoms(H2))
    assert asked == []
    potential.evaluate(AtomicGraph.from_atoms(H2))
    assert len(asked) == 1


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    close = Atoms("HH", [[0, 0, 0], [0, 0, 0.2]])
    potential = DFT(**HF)
    found = potential.evaluate(batch([H2, close]))
    assert found.energies.isfinite().tolist() == [True, False]
    assert potential.calls.reasons == ["atoms 0.200 Å apart (H2, charge 0)"]

    def breaks(mf: Any) -> Any:
        raise np.linalg.LinAlgError("SVD did not converge")

    real = module.solver.run
    monkeypatch.setattr(module.solver, "run", breaks)
    assert potential.energies(AtomicGraph.from_atoms(H2)).tolist() == [torch.inf]
    assert "broke down (SVD did not converge)" in potential.calls.reasons[-1]

    def gives_up(mf: Any) -> Any:
        return module.solver.Run(**{**vars(real(mf)), "solution": None})

    monkeypatch.setattr(module.solver, "run", gives_up)
    assert potential.energies(AtomicGraph.from_atoms(H2)).tolist() == [torch.inf]
    assert "did not converge" in potential.calls.reasons[-1]
    assert potential.calls.failures == 3


def test_level_and_bad_input() -> None:
    level = json.loads(dumps(DFT(xc="b3lyp-d3bj", basis="def2-svp", solvent="water").level))
    assert level["functional"]["dispersion"] == "d3bj"
    assert level["solvation"] == {"model": "IEF-PCM", "solvent": "water"}
    assert DFT(solvent="water").name == "b3lyp/def2-svp in water (IEF-PCM)"
    for wrong, message in (
        ({"xc": "b3lip"}, "functional 'b3lip'"),
        ({"xc": "hf", "basis": "sto-33g"}, "basis 'sto-33g'"),
        ({"xc": "hf", "basis": "sto-3g", "solvent": "brine"}, "solvent 'brine'"),
    ):
        with pytest.raises(InputError, match=message):
            DFT(**wrong).energies(AtomicGraph.from_atoms(H2))  # type: ignore[arg-type]
