"""Guesses: electron counts, quality, conversions, carrying to other bases and geometries, files."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from pyscf import dft, gto, scf

from genmol.core.errors import InputError
from genmol.qc.guess import GUESSES, Guess, GuessName, density_for, guess, register, save_density
from genmol.qc.natural import SpinOrbitals, lowdin, orthonormalise, spin_orbitals

WATER = "O 0 0 0; H 0.76 0.59 0; H -0.76 0.59 0"
BENT = "O 0 0 0; H 0.78 0.57 0.05; H -0.74 0.62 0"
UNAIDED = ("1e", "minao", "atom", "huckel", "sap", "cheap-scf")
KINDS = [
    (scf.RHF, 0, 0),
    (scf.UHF, 1, 1),
    (scf.ROHF, 1, 1),
    (dft.RKS, -2, 0),
    (dft.UKS, 0, 2),
    (dft.ROKS, -1, 1),
]


def molecule(atom: str = WATER, *, basis: str = "6-31g", charge: int = 0, spin: int = 0) -> Any:
    return gto.M(atom=atom, basis=basis, charge=charge, spin=spin, verbose=0)


def mean_field(kind: Any, mol: Any) -> Any:
    mf = kind(mol)
    mf.chkfile = None
    if isinstance(mf, dft.rks.KohnShamDFT):
        mf.xc = "b3lyp"
        mf.grids.level = 0
    return mf


def electrons(mf: Any, dm: np.ndarray) -> np.ndarray:
    return np.einsum("...ij,ji->...", np.asarray(dm), mf.get_ovlp())


def gradient(mf: Any, dm: np.ndarray) -> float:
    """|g| of the determinant that one diagonalisation makes of ``dm``, on PySCF's exact level."""
    energy, coeff = mf.eig(mf.get_fock(dm=dm), mf.get_ovlp())
    occ = mf.get_occ(energy, coeff)
    fock = mf.get_fock(dm=mf.make_rdm1(coeff, occ))
    return float(np.linalg.norm(mf.get_grad(coeff, occ, fock)))


@pytest.fixture(scope="module")
def converged() -> Any:
    return mean_field(scf.RHF, molecule()).run()


@pytest.mark.parametrize("name", UNAIDED)
@pytest.mark.parametrize(("kind", "charge", "spin"), KINDS)
def test_shape_and_electrons_of_every_spin(name: str, kind: Any, charge: int, spin: int) -> None:
    mf = mean_field(kind, molecule(charge=charge, spin=spin))
    dm = guess(mf, name)
    restricted = kind in (scf.RHF, dft.RKS)
    assert dm.shape == (mf.mol.nao,) * 2 if restricted else (2, mf.mol.nao, mf.mol.nao)
    wanted = mf.mol.nelectron if restricted else mf.nelec
    np.testing.assert_allclose(electrons(mf, dm), wanted, atol=1e-6)


@pytest.mark.parametrize(("kind", "charge", "spin"), KINDS)
def test_pyscf_takes_the_default_guess_and_needs_few_cycles(
    kind: Any, charge: int, spin: int
) -> None:
    reference = mean_field(kind, molecule(charge=charge, spin=spin)).run()
    mf, cycles = mean_field(kind, reference.mol), []
    mf.callback = lambda env: cycles.append(env["cycle"])
    mf.kernel(dm0=guess(mf))
    assert mf.converged
    assert mf.e_tot <= reference.e_tot + 1e-7
    assert len(cycles) <= 6


def test_the_cheap_guess_lands_near_the_exact_solution() -> None:
    mf = dft.RKS(molecule(basis="def2-svp"), xc="b3lyp")
    cheap, minao = guess(mf, "cheap-scf"), guess(mf, "minao")
    fock = mf.get_fock(dm=cheap)
    norm = float(np.linalg.norm(mf.get_grad(cheap.mo_coeff, cheap.mo_occ, fock)))
    assert norm < 5e-3
    assert gradient(mf, minao) > 20 * norm


@pytest.mark.parametrize("name", UNAIDED)
def test_the_mean_field_object_is_left_alone(name: str) -> None:
    mf = mean_field(dft.UKS, molecule(charge=1, spin=1))
    before = dict(vars(mf))
    grids, numint = mf.grids, mf._numint
    guess(mf, name)
    assert mf._eri is None
    assert mf.grids is grids
    assert mf._numint is numint
    assert grids.coords is None
    assert vars(mf) == before
    assert mf.mo_coeff is None


def test_names_of_the_command_line_are_the_registry() -> None:
    assert set(get_args(GuessName)) == set(GUESSES)


def test_a_learned_guess_joins_by_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genmol.qc.guess.GUESSES", dict(GUESSES))
    register(Guess("learned", "a network", lambda mf, source: np.zeros((mf.mol.nao,) * 2)))
    assert not guess(mean_field(scf.RHF, molecule()), "learned").any()
    with pytest.raises(ValueError, match="registered already"):
        register(Guess("learned", "another", lambda mf, source: np.zeros(1)))


def test_bad_requests_say_what_to_do(converged: Any) -> None:
    with pytest.raises(InputError, match=r"guess 'minoa'; wanted one of 1e, minao"):
        guess(converged, "minoa")
    with pytest.raises(InputError, match=r"'file' without a source; wanted the path"):
        guess(converged, "file")
    with pytest.raises(InputError, match=r"'minao' with a source"):
        guess(converged, "minao", converged)
    with pytest.raises(InputError, match="no orbitals yet"):
        guess(converged, "project", mean_field(scf.RHF, molecule()))


def test_an_element_without_data_is_named() -> None:
    mf = scf.RHF(molecule())

    def unknown(mol: Any, key: str) -> np.ndarray:
        raise KeyError("Og")

    mf.get_init_guess = unknown
    with pytest.raises(InputError, match=r"'sap' for H, O, .*KeyError.*Try: take the guess 'atom'"):
        guess(mf, "sap")


# ------------------------------------------------------------------ spin treatments


def test_restricted_density_for_two_spins(converged: Any) -> None:
    dm = converged.make_rdm1()
    singlet = density_for(scf.UHF(molecule()), dm)
    np.testing.assert_allclose(singlet, [dm / 2, dm / 2], atol=1e-12)
    for charge, spin in ((1, 1), (-1, 1), (0, 2)):
        mf = scf.UHF(molecule(charge=charge, spin=spin))
        split = density_for(mf, dm)
        np.testing.assert_allclose(electrons(mf, split), mf.nelec, atol=1e-10)
        c = converged.mo_coeff
        for one, n in zip(split, mf.nelec, strict=True):  # aufbau in the given orbitals
            np.testing.assert_allclose(one, c[:, :n] @ c[:, :n].T, atol=1e-12)


def test_unrestricted_density_for_one_spin_is_summed() -> None:
    mf = scf.UHF(molecule()).run()
    alpha, beta = mf.make_rdm1()
    np.testing.assert_allclose(
        density_for(scf.RHF(mf.mol), mf.make_rdm1()), alpha + beta, atol=1e-12
    )


def test_a_right_density_is_returned_as_it_is(converged: Any) -> None:
    dm = converged.make_rdm1()
    assert density_for(scf.RHF(molecule()), dm) is dm


def test_fermi_filling_keeps_full_and_empty_orbitals() -> None:
    occ = np.array([1.0, 1.0, 0.6, 0.5, 0.2, 0.0])
    orbitals = SpinOrbitals(np.eye(6), occ)
    for n in (2.5, 3.0, 4.0):
        filled = orbitals.filled(n).occ
        assert filled.sum() == pytest.approx(n, abs=1e-10)
        np.testing.assert_allclose(filled[[0, 1, 5]], [1, 1, 0], atol=1e-9)
        assert np.all(np.diff(filled) <= 0)
    np.testing.assert_allclose(orbitals.filled(0).occ, 0)
    np.testing.assert_allclose(orbitals.filled(6).occ, 1)


def test_natural_orbitals_rebuild_the_density(rng: np.random.Generator) -> None:
    a = rng.normal(size=(7, 7))
    s = a @ a.T + np.eye(7)
    root, inverse = lowdin(s)
    np.testing.assert_allclose(root @ root, s, atol=1e-10)
    np.testing.assert_allclose(root @ inverse, np.eye(7), atol=1e-10)
    dm = rng.normal(size=(7, 7))
    dm = dm + dm.T
    alpha, beta = spin_orbitals(dm, s)
    assert alpha is beta
    np.testing.assert_allclose(2 * (alpha.coeff * alpha.occ) @ alpha.coeff.T, dm, atol=1e-10)
    np.testing.assert_allclose(alpha.coeff.T @ s @ alpha.coeff, np.eye(7), atol=1e-10)
    c = orthonormalise(rng.normal(size=(7, 3)), s)
    np.testing.assert_allclose(c.T @ s @ c, np.eye(3), atol=1e-10)


# ------------------------------------------------------------------ other bases and geometries


@pytest.mark.parametrize(("kind", "charge", "spin"), [k for k in KINDS if k[1] >= 0])
def test_projection_from_a_minimal_basis(kind: Any, charge: int, spin: int) -> None:
    small = mean_field(kind, molecule(basis="sto-3g", charge=charge, spin=spin)).run()
    mf = mean_field(kind, molecule(basis="def2-svp", charge=charge, spin=spin))
    dm = guess(mf, "project", small)
    s = mf.get_ovlp()
    wanted = mf.mol.nelectron if kind is scf.RHF else mf.nelec
    np.testing.assert_allclose(electrons(mf, dm), wanted, atol=1e-10)
    for d in [np.asarray(dm) / 2] if dm.ndim == 2 else dm:
        np.testing.assert_allclose(d @ s @ d, d, atol=1e-10)


def test_projection_keeps_what_the_larger_basis_contains(converged: Any) -> None:
    larger = scf.RHF(molecule(basis="6-31g**"))  # 6-31g and polarisation: nothing is lost
    dm = guess(larger, "project", converged)
    here = np.einsum("ij,ji->", dm, larger.get_hcore())
    there = np.einsum("ij,ji->", converged.make_rdm1(), converged.get_hcore())
    assert here == pytest.approx(there, abs=1e-9)


def test_projection_of_another_functional_is_its_density(converged: Any) -> None:
    mf = mean_field(dft.RKS, molecule())
    np.testing.assert_allclose(guess(mf, "project", converged), converged.make_rdm1(), atol=1e-10)


def test_a_density_turns_with_its_molecule(converged: Any) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    q = q * np.sign(np.linalg.det(q))
    mol = molecule()
    turned = mol.set_geom_(mol.atom_coords() @ q.T + 3.0, unit="Bohr", inplace=False)
    mf = scf.RHF(turned)
    dm = guess(mf, "project", converged)
    assert mf.energy_tot(dm) == pytest.approx(converged.e_tot, abs=1e-8)


def test_another_molecule_is_refused(converged: Any) -> None:
    mf = scf.RHF(molecule("N 0 0 0; H 0.76 0.59 0; H -0.76 0.59 0", charge=1))
    with pytest.raises(InputError, match=r"O H H.*for 3 atoms \(N H H\)"):
        guess(mf, "project", converged)


# ------------------------------------------------------------------ files


@pytest.mark.parametrize(("kind", "charge", "spin"), KINDS[:3])
def test_file_round_trip(tmp_path: Any, kind: Any, charge: int, spin: int) -> None:
    mf = mean_field(kind, molecule(charge=charge, spin=spin)).run()
    save_density(tmp_path / "d.npz", mf)
    fresh = mean_field(kind, mf.mol.copy())
    np.testing.assert_allclose(guess(fresh, "file", tmp_path / "d.npz"), mf.make_rdm1(), atol=1e-10)
    assert [p.name for p in tmp_path.iterdir()] == ["d.npz"]


def test_file_in_another_basis_geometry_and_with_ghosts(tmp_path: Any) -> None:
    atom = WATER + "; ghost-He 0 0 2"
    mf = scf.RHF(gto.M(atom=atom, basis="sto-3g", verbose=0)).run(chkfile=None)
    save_density(tmp_path / "d.npz", mf)
    with np.load(tmp_path / "d.npz") as stored:
        assert stored["numbers"].tolist() == [8, 1, 1, 0]
        np.testing.assert_allclose(stored["positions"][1], [0.76, 0.59, 0], atol=1e-9)
        assert str(stored["level"]) == "hf/sto-3g"
    other = gto.M(atom=BENT + "; ghost-He 0 0 2", basis="def2-svp", verbose=0)
    fresh = scf.RHF(other)
    dm = guess(fresh, "file", tmp_path / "d.npz")
    np.testing.assert_allclose(electrons(fresh, dm), 10, atol=1e-10)
    assert gradient(fresh, dm) < 1.0
    with pytest.raises(InputError, match="same atoms"):
        guess(scf.RHF(molecule()), "file", tmp_path / "d.npz")


@pytest.mark.parametrize("cart", [False, True])
def test_pyscf_checkpoint(tmp_path: Any, cart: bool) -> None:
    mf = scf.UHF(gto.M(atom=WATER, basis="6-31g*", charge=1, spin=1, cart=cart, verbose=0))
    mf.chkfile = str(tmp_path / "old.chk")
    mf.kernel()
    dm = guess(scf.UHF(mf.mol), "file", mf.chkfile)
    np.testing.assert_allclose(dm, mf.make_rdm1(), atol=1e-10)
    moved = scf.UHF(gto.M(atom=BENT, basis="def2-svp", charge=1, spin=1, verbose=0))
    np.testing.assert_allclose(
        electrons(moved, guess(moved, "file", mf.chkfile)), [5, 4], atol=1e-9
    )


def test_broken_files(tmp_path: Any, converged: Any) -> None:
    path = tmp_path / "d.npz"
    save_density(path, converged)
    whole = path.read_bytes()
    chk = tmp_path / "old.chk"
    scf.RHF(molecule(basis="sto-3g")).run(chkfile=str(chk))
    for broken in (whole[: len(whole) // 2], b"", b"text", chk.read_bytes()[:900]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"cannot be read .*Try: write it again"):
            guess(scf.RHF(molecule()), "file", path)
    np.savez(path, dm=np.eye(13))
    with pytest.raises(InputError, match="cannot be read"):
        guess(scf.RHF(molecule()), "file", path)
    with pytest.raises(InputError, match="does not exist"):
        guess(scf.RHF(molecule()), "file", tmp_path / "none.npz")
