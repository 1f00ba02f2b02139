"""A trained model at work: where it applies, what it answers, and that a bad answer costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learnedcases import BASIS, SHELLS, WATER, XC, example_of, know, object_of, save_model
from pyscf import dft, gto, scf
from scipy.spatial.transform import Rotation

from genmol.core.errors import DeliveryError, InputError
from genmol.qc.cheap import CheapLevel
from genmol.qc.orbitals import initial_fock
from genmol.scf import Settings, learned, solve
from genmol.scf.calibration import calibrate_model, measure, tune_width
from genmol.scf.learned import LearnedModel


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def model(path: str) -> LearnedModel:
    return LearnedModel.load(path)


@pytest.fixture(scope="module")
def solved() -> Any:
    mf = object_of()
    mf.conv_tol = 1e-11
    return mf.run()


# --- loading


def test_a_model_is_read_once(path: str, tmp_path: Path) -> None:
    assert LearnedModel.load(path) is LearnedModel.load(Path(path + ".safetensors"))
    other = save_model(tmp_path / "other")
    first = LearnedModel.load(other)
    save_model(tmp_path / "other", seed=1)
    assert LearnedModel.load(other).sha256 != first.sha256


def test_damaged_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights called"):
        LearnedModel.load("no-such-model")
    damaged = Path(save_model(tmp_path / "damaged") + ".safetensors")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(bytes(content))
    with pytest.raises(InputError, match="SHA-256"):
        LearnedModel.load(damaged)
    foreign = save_model(tmp_path / "foreign", **{"class": "ScoreModel"})
    with pytest.raises(InputError, match="weights of a FockModel"):
        LearnedModel.load(foreign)
    unknown = save_model(tmp_path / "unknown", domain={"elements": [1, 8]})
    with pytest.raises(InputError, match="does not say for which level"):
        LearnedModel.load(unknown).domain(object_of())


def test_the_card_may_state_functional_and_basis(path: str, model: LearnedModel) -> None:
    card = json.loads(Path(path + ".json").read_text())
    level = card["domain"]["level"]
    domain = {"elements": [1, 8], "functional": level, "basis": BASIS, "charge": 0}
    same = LearnedModel(model.path, card | {"domain": domain})
    assert same.level == model.level
    assert same.domain(object_of()) is None


# --- domain


def own_functional() -> Any:
    mf = object_of()
    return mf.define_xc_("0.5*LDA + 0.5*PBE,PBE", "GGA")


def other_core() -> Any:
    mf = object_of()
    mf.get_hcore = lambda *_: np.zeros((mf.mol.nao,) * 2)
    return mf


GHOST = "O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59; ghost-O 0 0 3"
OUTSIDE = {
    "knows H, O, not S": lambda: object_of("S 0 0 0; H 0 0.96 0.93; H 0 -0.96 0.93"),
    "not for GGA_X_B88": lambda: object_of(xc="blyp"),
    "not for HF": lambda: scf.RHF(object_of().mol),
    "basis functions of H are not": lambda: object_of(basis="sto-3g"),
    "not trained on charge": lambda: object_of("O 0 0 0; H 0 0 0.96", charge=-1),
    "open shells": lambda: object_of().mol.UKS(xc="pbe"),
    "Cartesian": lambda: object_of(cart=True),
    "ghost": lambda: object_of(GHOST),
    "core potentials": lambda: object_of("I 0 0 0; H 0 0 1.6", basis="def2-svp", ecp="def2-svp"),
    "solvent": lambda: object_of().PCM(),
    "code of its own": own_functional,
    "core Hamiltonian": other_core,
    "smeared": lambda: scf.addons.smearing(object_of(), sigma=0.01),
}


@pytest.mark.parametrize("reason", OUTSIDE)
def test_outside_the_domain(reason: str, model: LearnedModel) -> None:
    mf = OUTSIDE[reason]()
    found = model.domain(mf)
    assert found is not None
    assert reason in found
    with pytest.raises(InputError, match="train a model on labels of your own"):
        model.predict(mf)


@pytest.mark.parametrize(
    "mf",
    [
        object_of(xc="gga_x_pbe,gga_c_pbe"),
        object_of(xc="pbe-d3bj"),
        object_of(basis={"O": "6-31G", "H": gto.basis.load("6-31g", "H")}),
        object_of().density_fit(),
        object_of(symmetry=True),
        dft.RKS(gto.M(atom="O1 0 0 0; H@2 0 0.76 0.59; H 0 -0.76 0.59", basis=BASIS), xc=XC),
    ],
)
def test_the_same_level_by_another_name(mf: Any, model: LearnedModel) -> None:
    assert model.domain(mf) is None


# --- predictions


def test_the_true_correction_gives_the_true_orbitals(
    model: LearnedModel, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)])
    fresh = object_of()
    answer = model.damped(0.0).predict(fresh)
    np.testing.assert_allclose(answer.fock, solved.get_fock(), atol=2e-6)  # of float32
    np.testing.assert_allclose(answer.energies, solved.mo_energy, atol=5e-5)
    np.testing.assert_allclose(answer.density, solved.make_rdm1(), atol=1e-4)
    s, d = fresh.get_ovlp(), answer.density
    np.testing.assert_allclose(d @ s @ d, 2 * d, atol=1e-10)
    assert np.sum(d * s) == pytest.approx(10)
    assert answer.gap == pytest.approx(solved.mo_energy[5] - solved.mo_energy[4], abs=1e-4)
    assert answer.spread == pytest.approx(0, abs=1e-6)
    assert 0.5 < answer.shared <= 1 + 1e-9
    assert fresh.mo_coeff is None


def test_the_initial_matrix_is_taken_as_given(model: LearnedModel) -> None:
    mf = object_of()
    cheap = CheapLevel(mf)
    initial = initial_fock(mf, "minao", cheap=cheap)
    given = model.predict(mf, cheap=cheap, initial=initial)
    assert cheap.builds == 1
    np.testing.assert_allclose(given.fock, model.predict(mf).fock, atol=1e-10)
    model.predict(mf, cheap=cheap)
    assert cheap.builds == 2


def test_many_are_as_one_and_keep_their_order(model: LearnedModel) -> None:
    objects = [object_of(f"O 0 0 0; H 0 {0.7 + 0.01 * i} 0.6; H 0 -0.76 0.59") for i in range(5)]
    objects.insert(2, object_of("H 0 0 0; H 0 0 0.74"))
    together = list(model.predict_many(iter(objects)))
    for mf, found in zip(objects, together, strict=True):
        np.testing.assert_allclose(found.fock, model.predict(mf).fock, atol=2e-6)


def test_rotations_leave_the_energies(tmp_path: Path) -> None:
    path = save_model(tmp_path / "sap", start="sap")  # F_init without a grid
    model = LearnedModel(Path(path + ".safetensors"), LearnedModel.load(path).card,
                         precision="float64")  # fmt: skip
    xyz = np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0.1, -0.76, -0.47]])
    energies = []
    for turn in (np.eye(3), Rotation.random(random_state=3).as_matrix(), -np.eye(3)):
        mf = object_of([(s, r) for s, r in zip("OHH", xyz @ turn.T, strict=True)])
        energies.append(model.predict(mf).energies)
    np.testing.assert_allclose(energies[1], energies[0], atol=1e-9)
    np.testing.assert_allclose(energies[2], energies[0], atol=1e-9)


def test_loading_leaves_the_random_stream_alone(path: str, model: LearnedModel) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    _ = LearnedModel(model.path, model.card).network
    torch.testing.assert_close(torch.rand(3), expected)


def test_what_is_not_finite_is_not_delivered(
    model: LearnedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: Any, batch: Any) -> torch.Tensor:
        return torch.full_like(batch.overlap, torch.nan)

    monkeypatch.setattr(learned, "_correction", broken)
    with pytest.raises(DeliveryError, match="not finite"):
        model.predict(object_of())


# --- what held-out molecules tell


def test_errors_are_those_against_the_solution(
    model: LearnedModel, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = example_of(solved)
    know(monkeypatch, [example])
    (found,) = measure(model.damped(0.0), [example])
    assert found.gradient < 1e-3
    assert not found.wrong
    assert found.errors.keys() >= {"homo_ev", "gap_ev", "dipole_debye", "mulliken_charges"}
    assert all(np.abs(error).max() < 2e-3 for error in found.errors.values())
    know(monkeypatch, [example], noise=0.05)
    (noisy,) = measure(model.damped(0.0), [example])
    assert noisy.gradient > 10 * found.gradient
    assert noisy.answer.spread > 0.01


def test_intervals_hold_the_molecules_they_were_made_from(model: LearnedModel) -> None:
    examples = [
        example_of(object_of(f"O 0 0 0; H 0 {0.7 + 0.004 * i} 0.6; H 0 -0.76 0.59"), name=f"{i}")
        for i in range(20)
    ]
    calibration = calibrate_model(model, examples)
    found = measure(model, examples)
    low, high = calibration["fock_spread"]
    assert low <= min(m.answer.spread for m in found) <= max(m.answer.spread for m in found) <= high
    assert calibration["n_atoms"] == [3, 3]
    gap = calibration["quantities"]["gap_ev"]
    assert gap["molecules"] == 20
    assert gap["factor"] == pytest.approx(max(abs(float(m.errors["gap_ev"])) for m in found))


def test_the_width_is_the_one_that_serves_best(
    model: LearnedModel, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = example_of(solved)
    know(monkeypatch, [example])
    best, table = tune_width(model, [example], widths=(0.0, 0.3))
    assert best == 0.0
    assert table["0.3"]["gradient"] > table["0"]["gradient"]
    assert model.damped(best).width == best


# --- in a solve


def water_settings(path: str, **options: Any) -> Settings:
    return Settings(xc=XC, basis=BASIS, grid=1, model=path, **options)


@pytest.fixture(scope="module")
def unlearned() -> Any:
    return solve(gto.M(atom=WATER, basis=BASIS, verbose=0), water_settings("", guess="cheap-scf"))


def solve_water(path: str, **options: Any) -> Any:
    return solve(gto.M(atom=WATER, basis=BASIS, verbose=0), water_settings(path, **options)).report


def test_a_good_guess_replaces_cheap_builds(
    path: str, solved: Any, unlearned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-4)
    report = solve_water(path, guess="learned")
    assert report.guess == "learned"
    assert "below 0.1" in report.guess_reason
    assert report.cheap_fock_builds <= unlearned.report.cheap_fock_builds - 2
    assert report.exact_fock_builds <= unlearned.report.exact_fock_builds
    assert report.energy_hartree == pytest.approx(unlearned.report.energy_hartree, abs=1e-9)
    assert report.learned == {
        "model": "tiny",
        "sha256": LearnedModel.load(path).sha256,
        "inference_seconds": report.learned["inference_seconds"],
        "in_domain": True,
        "fock_spread": report.learned["fock_spread"],
    }
    assert report.learned["inference_seconds"] > 0
    assert report.learned["fock_spread"] < 1e-3


def test_the_first_build_serves_the_network_and_the_reference(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    potential = CheapLevel.potential

    def watched(self: CheapLevel, dm: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(dm))
        return potential(self, dm)

    monkeypatch.setattr(CheapLevel, "potential", watched)
    report = solve_water(path, guess="learned")
    minao = np.asarray(object_of().get_init_guess(None, "minao"))
    assert "refused" in report.guess_reason
    assert [np.allclose(dm, minao) for dm in seen[:4]] == [True, False, False, False]
    assert report.cheap_fock_builds == len(seen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1.0, 0.05])
def test_random_weights_never_change_the_answer(
    seed: int, size: float, tmp_path: Path, unlearned: Any
) -> None:
    report = solve_water(save_model(tmp_path / "random", seed=seed, size=size), guess="learned")
    assert report.certificate.verdict == "pass"
    assert report.energy_hartree == pytest.approx(unlearned.report.energy_hartree, abs=1e-9)
    assert report.exact_fock_builds <= unlearned.report.exact_fock_builds
    assert report.cheap_fock_builds <= unlearned.report.cheap_fock_builds + 2


def test_a_density_goes_first_and_the_model_is_not_asked(path: str, solved: Any) -> None:
    mf = object_of()
    report = solve(mf, Settings(model=path, guess="learned"), density=solved.make_rdm1()).report
    assert report.guess == "given density"
    assert report.learned is None


def test_a_bad_density_is_held_against_the_learned_guess(
    path: str, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-4)
    occ = np.zeros(13)
    occ[[0, 1, 2, 3, 6]] = 2  # an excited determinant
    bad = solved.make_rdm1(solved.mo_coeff, occ)
    report = solve(object_of(), Settings(model=path, guess="learned"), density=bad).report
    assert report.guess == "learned"
    assert "given density refused" in report.guess_reason
    assert "that of the other guess" in report.guess_reason
    assert report.energy_hartree == pytest.approx(solved.e_tot, abs=1e-8)
    wrong = solve(object_of(), Settings(model=path, guess="learned"), density=np.eye(3)).report
    assert wrong.guess == "learned"
    assert "its shape is (3, 3)" in wrong.guess_reason


def test_outside_its_domain_the_unlearned_guess_says_why(path: str) -> None:
    for choice in ("auto", "learned"):
        mf = object_of("S 0 0 0; H 0 0.96 0.93; H 0 -0.96 0.93")
        report = solve(mf, Settings(model=path, guess=choice)).report
        assert report.guess == "cheap-scf"
        assert report.guess_reason == "the best unlearned guess: tiny knows H, O, not S"
        assert report.learned["in_domain"] is False
        assert report.learned["inference_seconds"] is None


def test_what_the_network_cannot_answer_is_solved_without_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: Any, batch: Any) -> torch.Tensor:
        return torch.full_like(batch.overlap, torch.inf)

    monkeypatch.setattr(learned, "_correction", broken)
    report = solve_water(path, guess="learned")
    assert report.certificate.verdict == "pass"
    assert "not finite" in report.guess_reason


def test_plain_iterations_start_from_it_too(
    path: str, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-4)
    report = solve_water(path, guess="learned", mode="pyscf")
    assert report.guess == "learned"
    assert report.solver == "plain"
    assert report.converged


def test_shells_of_the_tests_are_those_of_the_basis() -> None:
    mol = gto.M(atom=WATER, basis=BASIS, verbose=0)
    assert mol.nao == sum(2 * l + 1 for z in (8, 1, 1) for l in SHELLS[z])
