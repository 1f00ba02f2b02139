"""A name means one functional, the same everywhere, and the record says which."""

import json

import pytest
from scfcases import WATER, mean_field

from genmol.core.errors import InputError
from genmol.core.jsonable import dumps
from genmol.qc.functional import HARTREE_FOCK, functional_of, resolve


def test_b3lyp_is_gaussians():
    functional = resolve("B3LYP")
    assert functional.code == "b3lypg"
    assert functional.components == (("HYB_GGA_XC_B3LYP", 1.0),)  # libxc 402, with VWN3
    assert ("LDA_C_VWN", 0.19) in resolve("b3lyp5").components  # VWN5
    assert functional.exact_exchange == pytest.approx(0.2)
    energies = [mean_field("R", WATER, resolve(n).code).kernel() for n in ("b3lyp", "b3lyp5")]
    assert energies[1] - energies[0] == pytest.approx(0.037, abs=0.005)


@pytest.mark.parametrize(
    ("name", "kind", "exact", "omega", "vv10", "dispersion"),
    [
        ("hf", "HF", 1.0, None, False, None),
        ("lda", "LDA", 0.0, None, False, None),
        ("pbe", "GGA", 0.0, None, False, None),
        ("r2scan", "MGGA", 0.0, None, False, None),
        ("pbe0", "GGA", 0.25, None, False, None),
        ("camb3lyp", "GGA", 0.19, (0.33, 0.65), False, None),
        ("wb97m-v", "MGGA", 0.15, (0.3, 1.0), True, None),
        ("b97m-v", "MGGA", 0.0, None, True, None),
        ("b3lyp-d3bj", "GGA", 0.2, None, False, "d3bj"),
        ("PBE0-D4", "GGA", 0.25, None, False, "d4"),
        ("wb97x-d3bj", "GGA", 0.167, (0.3, 1.0), False, "d3bj"),
        ("0.5*HF + 0.5*B88, LYP", "GGA", 0.5, None, False, None),
    ],
)
def test_what_a_name_means(name, kind, exact, omega, vv10, dispersion):
    functional = resolve(name)
    assert functional.name == name
    assert functional.kind == kind
    assert functional.exact_exchange == pytest.approx(exact)
    assert functional.range_separation == (None if omega is None else pytest.approx(omega))
    assert functional.nonlocal_correlation == vv10
    assert functional.dispersion == dispersion
    assert json.loads(dumps(functional.record()))["components"] is not None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("b3lip", "b3lyp"),
        ("wb97", "wb97"),
        ("", "b3lyp"),
        ("  ", "b3lyp"),
        ("-", "b3lyp"),
        ("-d3bj", "d3bj"),
        ("nan", "scan"),
        ("pbe,,pbe", "pbe"),
        ("b3lyp-d3", "d3bj"),
        ("b3lyp-d5", "b3lyp-d4"),
        ("b3lyp-d3bj2b", "d3bj"),
        ("svwn-d3bj", "no dispersion correction"),
        ("b3lyp-d4:nonsense", "no dispersion correction"),
        ("mgga_x_br89", "Laplacian"),
        ("b2plyp", "blyp"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(name, hint):
    if name == "wb97":
        assert resolve(name).kind == "GGA"
        return
    with pytest.raises(InputError, match=r"functional|dispersion") as caught:
        resolve(name)
    assert hint in str(caught.value)


def test_an_object_means_its_name_literally():
    assert functional_of(mean_field("R", WATER)) is HARTREE_FOCK
    assert functional_of(mean_field("R", WATER, "lda")).components == (("LDA_X", 1.0),)
    assert len(resolve("lda").components) == 2
    unnamed = functional_of(mean_field("R", WATER, "RSH(0.3,1,-0.5) + wB97X_V"))
    assert unnamed.range_separation is not None
    mf = mean_field("R", WATER, "pbe").define_xc_(lambda *a, **k: None, "GGA", hyb=0.3)
    redefined = functional_of(mf)
    assert (redefined.components, redefined.exact_exchange) == ((), 0.3)
    assert "as defined by" in redefined.name
    dumps(redefined.record())
