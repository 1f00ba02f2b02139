"""Our literals against scipy's CODATA table; derived units against independent closed forms."""

import pytest
from scipy.constants import physical_constants as codata

from genmol.core import units


def of(name: str) -> float:
    return codata[name][0]


# scipy >= 1.15 carries CODATA 2022; an older vintage would differ in the ninth digit
EXACT = [
    ("HARTREE_TO_EV", lambda: of("Hartree energy in eV")),
    ("BOHR_TO_ANGSTROM", lambda: of("Bohr radius") * 1e10),
    ("KB", lambda: of("Boltzmann constant in eV/K")),
    ("HBAR_EV_FS", lambda: of("reduced Planck constant in eV s") * 1e15),
    ("EV_TO_INVERSE_CM", lambda: of("electron volt-inverse meter relationship") / 100),
    ("EV_TO_KJ_MOL", lambda: of("Faraday constant") / 1000),
    ("EV_TO_KCAL_MOL", lambda: of("Faraday constant") / 4184),
]
# These pass through measured constants that the table rounds independently
MEASURED = [
    (
        "HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM",
        lambda: of("atomic unit of force") / of("elementary charge") * 1e-10,
    ),
    ("HARTREE_TO_KCAL_MOL", lambda: of("Hartree energy") * of("Avogadro constant") / 4184),
    (
        "E_BOHR_TO_DEBYE",
        lambda: of("atomic unit of electric dipole mom.") * of("speed of light in vacuum") * 1e21,
    ),
    (
        "E_ANGSTROM_TO_DEBYE",
        lambda: of("elementary charge") * of("speed of light in vacuum") * 1e11,
    ),
    (
        "AMU_TO_EV_FS2_PER_ANGSTROM2",
        # m c² in eV divided by c² in Å²/fs²
        lambda: (
            of("atomic mass constant energy equivalent in MeV")
            * 1e6
            / (of("speed of light in vacuum") * 1e-5) ** 2
        ),
    ),
]


@pytest.mark.parametrize(("name", "reference"), EXACT)
def test_literal_equals_the_codata_table(name, reference):
    assert getattr(units, name) == pytest.approx(reference(), rel=1e-13, abs=0)


@pytest.mark.parametrize(("name", "reference"), MEASURED)
def test_derived_unit_agrees_with_an_independent_route(name, reference):
    assert getattr(units, name) == pytest.approx(reference(), rel=2e-10, abs=0)


def test_every_constant_is_compared():
    assert {name for name, _ in EXACT + MEASURED} == set(units.__all__)


def test_textbook_values():
    # Familiar to every chemist, so a wrong power of ten shows
    assert units.HARTREE_TO_KCAL_MOL == pytest.approx(627.5095, abs=1e-4)
    assert units.KB * 298.15 * units.EV_TO_KCAL_MOL == pytest.approx(0.5925, abs=1e-4)
    assert units.E_BOHR_TO_DEBYE == pytest.approx(2.5417, abs=1e-4)
    assert units.EV_TO_INVERSE_CM == pytest.approx(8065.54, abs=0.01)
