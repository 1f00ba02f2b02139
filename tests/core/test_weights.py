"""Weights are read bit for bit as saved, or refused with a reason; nothing in them can run."""

import dataclasses
import hashlib
import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from weightcases import CARD, flip, saved

from genmol.core.errors import InputError
from genmol.core.weights import (
    FORMAT_VERSION,
    Weights,
    check_config,
    load_weights,
    read_card,
    restore,
    save_weights,
)

__all__ = ["saved"]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip_is_bitwise(tmp_path, generator, dtype):
    x = torch.randn(64, 5, generator=generator, dtype=dtype)
    info = torch.finfo(dtype)
    edges = torch.tensor([0.0, -0.0, info.tiny, info.smallest_normal / 8, info.max], dtype=dtype)
    state = {
        "x": x,
        "edges": edges,
        "scalar": x[0, 0],
        "empty": x[:0],
        "turned": x.T,
        "every": x[::3],
    }
    state |= {"numbers": torch.tensor([1, 6, -8]), "mask": torch.tensor([True, False])}
    written = save_weights(tmp_path / "new" / "model.v1", state, CARD)
    found = load_weights(tmp_path / "new" / "model.v1", expected_class="Toy")
    assert found.card == written
    assert found.name == "model.v1"
    assert found.state.keys() == state.keys()
    for name, tensor in state.items():
        assert found.state[name].dtype == tensor.dtype
        assert found.state[name].shape == tensor.shape
        assert bits(found.state[name]) == bits(tensor), name
    assert set(snapshot(tmp_path / "new")) == {"model.v1.safetensors", "model.v1.json"}


def test_the_same_state_gives_the_same_bytes(tmp_path, generator):
    x = torch.randn(4, 4, generator=generator)
    one = save_weights(tmp_path / "one", {"a": x, "b": x.float()}, CARD)
    two = save_weights(tmp_path / "two", {"b": x.float(), "a": x.clone()}, CARD)
    assert one["sha256"] == two["sha256"]


def test_the_card_states_what_was_given_and_the_hash_of_the_file(saved):
    card = json.loads(saved.with_suffix(".json").read_text("utf-8"))
    assert card.pop("metrics") == {"fock_mae": "nan"}
    assert (
        card.pop("sha256")
        == hashlib.sha256(saved.with_suffix(".safetensors").read_bytes()).hexdigest()
    )
    assert card.pop("format_version") == FORMAT_VERSION
    assert card.pop("genmol_version")
    assert card == {key: value for key, value in CARD.items() if key != "metrics"}
    assert read_card(saved) == load_weights(saved).card


def test_loaded_tensors_are_independent_and_writable(saved):
    first = load_weights(saved)
    first.state["a"].add_(1.0)
    assert not torch.equal(first.state["a"], load_weights(saved).state["a"])


def test_tied_parameters_are_stored_one_by_one(tmp_path, generator):
    x = torch.randn(3, generator=generator)
    save_weights(tmp_path / "tied", {"a": x, "b": x, "tail": x[1:]}, CARD)
    state = load_weights(tmp_path / "tied").state
    assert torch.equal(state["a"], state["b"])
    assert torch.equal(state["tail"], x[1:])


# --- reading what was damaged ---


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def edit_card(**entries):
    def edit(path: Path) -> None:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        path.with_suffix(".json").write_text(json.dumps(card | entries), "utf-8")

    return edit


def drop(key: str):
    def edit(path: Path) -> None:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        del card[key]
        path.with_suffix(".json").write_text(json.dumps(card), "utf-8")

    return edit


def write_card(text: bytes):
    return lambda path: path.with_suffix(".json").write_bytes(text)


def swap_card(path: Path) -> None:
    """Leave the card of other weights of the same class and shapes."""
    save_weights(path.with_name("other"), {"a": torch.zeros(3, 2)}, CARD)
    path.with_name("other.json").replace(path.with_suffix(".json"))


def disguise(content: bytes):
    """Put another kind of file under the name, with a card that vouches for it."""

    def put(path: Path) -> None:
        path.write_bytes(content)
        edit_card(sha256=hashlib.sha256(content).hexdigest())(path)

    return put


UNKNOWN_TYPE = b'{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,1]}}'
DAMAGES = {
    "truncated": (cut, r"whose SHA-256 is \w+\.\.\., not"),
    "one bit": (flip, r"whose SHA-256 is \w+\.\.\., not"),
    "empty": (lambda path: path.write_bytes(b""), "whose SHA-256 is e3b0c44298fc"),
    "swapped card": (swap_card, r"whose SHA-256 is \w+\.\.\., not"),
    "missing card": (lambda p: p.with_suffix(".json").unlink(), r"without its card toy\.json"),
    "card is a folder": (
        lambda p: (p.with_suffix(".json").unlink(), p.with_suffix(".json").mkdir()),
        "which is a folder",
    ),
    "card cut": (lambda p: cut(p.with_suffix(".json")), "is not JSON"),
    "card empty": (write_card(b""), "is not JSON"),
    "card binary": (write_card(b"\xff\xfe\x00"), "is not JSON"),
    "card nested": (write_card(b"[" * 100_000), "is not JSON"),
    "card a list": (write_card(b"[1, 2]"), "is not one of genmol"),
    "foreign card": (write_card(b'{"model_type": "bert"}'), "is not one of genmol"),
    "odd version": (edit_card(format_version="1"), "is not one of genmol"),
    "true version": (edit_card(format_version=True), "is not one of genmol"),
    "no hash": (drop("sha256"), "lacks a usable sha256"),
    "hash a number": (edit_card(sha256=7), "lacks a usable sha256"),
    "no licence": (drop("licence"), "lacks a usable licence"),
    "config a list": (edit_card(config=[4]), "lacks a usable config"),
    "newer": (
        edit_card(format_version=FORMAT_VERSION + 1, genmol_version="9.1"),
        r"in format 2, written by genmol 9\.1; wanted format 1 or lower\. Try: upgrade genmol\.",
    ),
    "newer, other keys": (
        write_card(b'{"format_version": 7, "digest": "blake3"}'),
        r"in format 7, .*upgrade genmol",
    ),
    "no safetensors": (disguise(b"PK\x03\x04 a zip file"), "which safetensors cannot read"),
    "half a header": (disguise(b"\x80\x00\x00\x00\x00\x00\x00\x00{"), "safetensors cannot read"),
    "unknown type": (
        disguise(len(UNKNOWN_TYPE).to_bytes(8, "little") + UNKNOWN_TYPE + b"0"),
        "which safetensors cannot read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_is_refused_and_left_alone(saved, damage):
    action, message = DAMAGES[damage]
    action(saved.with_suffix(".safetensors"))
    before = {p: p.is_dir() or p.read_bytes() for p in saved.parent.iterdir()}
    with pytest.raises(InputError, match=message) as caught:
        load_weights(saved)
    assert caught.value.exit_code == 2
    assert "toy" in caught.value.got
    assert {p: p.is_dir() or p.read_bytes() for p in saved.parent.iterdir()} == before


def test_every_single_flipped_bit_is_noticed(saved):
    path = saved.with_suffix(".safetensors")
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(InputError, match="SHA-256"):
            read_card(saved)


def test_bytes_are_hashed_before_they_are_parsed(saved, monkeypatch):
    def parse(content: bytes) -> None:
        raise AssertionError("the parser saw bytes that were not verified")

    flip(saved.with_suffix(".safetensors"))
    monkeypatch.setattr(safetensors.torch, "load", parse)
    with pytest.raises(InputError, match="SHA-256"):
        load_weights(saved)


def test_weights_of_another_class_are_refused_by_name(saved):
    with pytest.raises(InputError, match="of a Toy; wanted weights of a FockModel"):
        load_weights(saved, expected_class="FockModel")
    with pytest.raises(InputError, match="of a Toy"):
        read_card(saved, expected_class="FockModel")


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return (Path.touch, (self.witness,))


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.pkl", "model"])
def test_pickles_are_not_opened_whatever_their_name(tmp_path, name):
    witness = tmp_path / "executed"
    content = pickle.dumps({"a": Trap(witness)})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="pickled checkpoints are never opened"):
        load_weights(tmp_path / name)
    save_weights(tmp_path / "good", {"a": torch.zeros(1)}, CARD)
    disguise(content)(tmp_path / "good.safetensors")
    with pytest.raises(InputError, match="safetensors cannot read"):
        load_weights(tmp_path / "good")
    assert not witness.exists()


# --- saving ---


BAD_STATES = {
    "float": ({"a": 1.0}, "'a', which is a float"),
    "nothing": ({"a": None}, "'a', which is a NoneType"),
    "array": ({"a": torch.zeros(2).numpy()}, "'a', which is a ndarray"),
    "nested": ({"optimiser": {"a": torch.zeros(1)}}, "'optimiser', which is a dict"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, "not a dense tensor"),
    "no storage": ({"a": torch.zeros(3, device="meta")}, "not a dense tensor"),
    "nan": ({"a": torch.tensor([1.0, float("nan")])}, "'a', which holds NaN or infinity"),
    "infinite": ({"a": torch.tensor([1.0, -float("inf")])}, "NaN or infinity"),
    "complex": ({"a": torch.zeros(2, dtype=torch.complex128)}, "what safetensors cannot hold"),
    "empty": ({}, "no tensors at all"),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_a_bad_state_is_refused_and_the_old_pair_stays(saved, case):
    state, message = BAD_STATES[case]
    before = snapshot(saved.parent)
    with pytest.raises(InputError, match=message):
        save_weights(saved, state, CARD)
    assert snapshot(saved.parent) == before


@pytest.mark.parametrize("key", CARD)
def test_an_incomplete_card_is_refused(saved, key):
    before = snapshot(saved.parent)
    with pytest.raises(InputError, match=f"without a usable {key}"):
        save_weights(saved, {"a": torch.ones(1)}, {k: v for k, v in CARD.items() if k != key})
    assert snapshot(saved.parent) == before


def test_a_card_that_is_not_json_is_refused_before_anything_is_written(saved):
    before = snapshot(saved.parent)
    with pytest.raises(TypeError, match="no JSON form"):
        save_weights(saved, {"a": torch.ones(1)}, CARD | {"metrics": {"x": object()}})
    assert snapshot(saved.parent) == before


def test_the_limit_counts_the_whole_file(saved):
    before = snapshot(saved.parent)
    state = {"a": torch.zeros(1000, dtype=torch.float32)}
    with pytest.raises(InputError, match=r"0\.00 MB of weights.*wanted at most 0\.004 MB"):
        save_weights(saved, state, CARD, limit_mb=0.004)
    assert snapshot(saved.parent) == before
    save_weights(saved, state, CARD, limit_mb=0.005)
    assert load_weights(saved).state["a"].shape == (1000,)


@pytest.mark.parametrize("failing", ["toy.safetensors", "toy.json"])
def test_a_write_that_fails_leaves_the_old_pair_and_no_litter(saved, monkeypatch, failing):
    before = snapshot(saved.parent)
    write = {"toy.safetensors": "write_bytes", "toy.json": "write_text"}[failing]
    original = getattr(Path, write)

    def disk_full(self, content, *args, **kwargs):
        original(self, content[: len(content) // 2], *args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, write, disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(saved, {"a": torch.ones(5)}, CARD)
    monkeypatch.undo()
    assert snapshot(saved.parent) == before
    assert load_weights(saved).state["a"].shape == (3, 2)


def test_a_kill_between_the_renames_is_noticed_when_reading(saved, monkeypatch):
    original = Path.replace

    def killed(self, target):
        if Path(target).suffix == ".json":
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_weights(saved, {"a": torch.ones(5)}, CARD)
    monkeypatch.undo()
    with pytest.raises(InputError, match="SHA-256"):
        load_weights(saved)
    save_weights(saved, {"a": torch.ones(5)}, CARD)
    assert load_weights(saved).state["a"].shape == (5,)


def test_unwritable_places_are_refused(tmp_path):
    for place in (tmp_path, ""):
        with pytest.raises(InputError, match="as an output file"):
            save_weights(place, {"a": torch.ones(1)}, CARD)
    (tmp_path / "x.json").mkdir()
    with pytest.raises(InputError, match="as an output file"):
        save_weights(tmp_path / "x", {"a": torch.ones(1)}, CARD)


# --- using ---


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    channels: int
    layers: int = 2
    edges: tuple[int, ...] = dataclasses.field(default_factory=tuple)


def test_settings_a_class_does_not_know_mean_a_newer_genmol():
    check_config({"channels": 4}, ToyConfig, source="toy")
    check_config({"channels": 4, "layers": 1, "edges": []}, ToyConfig, source="toy")
    with pytest.raises(InputError, match=r"toy with the unknown settings heads.*upgrade genmol"):
        check_config({"channels": 4, "heads": 8}, ToyConfig, source="toy")
    with pytest.raises(InputError, match="toy without the settings channels"):
        check_config({"layers": 4}, ToyConfig, source="toy")


def test_restored_modules_compute_the_same(tmp_path, generator):
    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    trained, fresh = network(), network()
    x = torch.randn(8, 3, generator=generator)
    trained(x)  # running statistics are part of the state
    save_weights(tmp_path / "net", trained.state_dict(), CARD)
    restore(fresh, load_weights(tmp_path / "net"))
    assert torch.equal(trained.eval()(x), fresh.eval()(x))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(1, 3)}, r"bias: absent there, \(1,\) here"),
        (
            {"weight": torch.ones(1, 2), "bias": torch.ones(1)},
            r"weight: \(1, 2\) there, \(1, 3\) here",
        ),
        (
            {"weight": torch.ones(1, 3), "bias": torch.ones(1), "scale": torch.ones(2)},
            r"scale: \(2,\) there, absent here",
        ),
    ],
)
def test_weights_that_do_not_fit_change_nothing(state, message):
    module = nn.Linear(3, 1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(InputError, match=message):
        restore(module, Weights(card=CARD, state=state, sha256="", path=Path("toy.safetensors")))
    assert all(torch.equal(module.state_dict()[name], before[name]) for name in before)
