"""Known ground states."""

import pytest
from ase import Atoms

from genmol.core.errors import DeliveryError
from genmol.scf import Settings
from genmol.scf.multiplicity import multiplicity_scan

PBE = Settings(xc="pbe", basis="6-31g", grid=1)


@pytest.mark.parametrize(
    ("atoms", "multiplicity", "states"),
    [
        (Atoms("O2", [[0, 0, 0], [0, 0, 1.21]]), 3, [1, 3, 5]),
        (Atoms("CH2", [[0, 0, 0], [0, 0.99, 0.31], [0, -0.99, 0.31]]), 3, [1, 3, 5]),
        (Atoms("HF", [[0, 0, 0], [0, 0, 0.92]]), 1, [1, 3, 5]),
        (Atoms("N", [[0, 0, 0]]), 4, [2, 4, 6]),
    ],
)
def test_ground_states(atoms, multiplicity, states):
    seen = []
    solved, table = multiplicity_scan(atoms, PBE, on_state=lambda m, s: seen.append(m))
    assert [row["multiplicity"] for row in table] == states == seen
    assert solved.report.settings["multiplicity"] == multiplicity
    energies = {row["multiplicity"]: row["energy_hartree"] for row in table if row["converged"]}
    assert min(energies, key=energies.get) == multiplicity
    assert solved.report.energy_hartree == energies[multiplicity]


def test_one_and_two_electrons():
    _, table = multiplicity_scan(Atoms("H", [[0, 0, 0]]), PBE)
    assert [row["multiplicity"] for row in table] == [2]
    _, table = multiplicity_scan(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), PBE)
    assert [row["multiplicity"] for row in table] == [1, 3]


def test_the_charge_counts_and_a_stated_multiplicity_does_not():
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1, "multiplicity": 1})
    solved, table = multiplicity_scan(atoms, PBE, states=2)
    assert [row["multiplicity"] for row in table] == [1, 3]
    assert solved.report.settings["charge"] == -1


def test_nothing_converged(monkeypatch):
    from genmol.scf import multiplicity

    class Report:
        energy_hartree, converged, properties, exact_fock_builds = None, False, {}, 0

    class Solved:
        report = Report()

    monkeypatch.setattr(multiplicity, "solve", lambda *a: Solved())
    scan = multiplicity_scan
    while hasattr(scan, "__wrapped__"):
        scan = scan.__wrapped__
    with pytest.raises(DeliveryError, match="no converged solution"):
        scan(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), PBE)
