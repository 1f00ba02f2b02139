"""A reader finds the old file or the new one, never half of one."""

import json
import re

import pytest

from genmol.core.errors import InputError
from genmol.core.files import (
    append_json_line,
    atomic_path,
    atomic_write_text,
    check_readable,
    check_writable,
    read_json_lines,
    write_json,
)


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "result.json"
    atomic_write_text(target, "old")
    atomic_write_text(target, "new å")
    assert target.read_text(encoding="utf-8") == "new å"
    assert list(target.parent.iterdir()) == [target]


def test_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        assert temporary.suffix == ".json"
        assert target.read_text() == "old"
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_check_writable_accepts_folders_yet_to_be_made(tmp_path):
    check_writable(tmp_path / "a" / "b" / "c.json")
    assert list(tmp_path.iterdir()) == []


def test_check_writable_refuses_a_folder_and_a_file_in_the_way(tmp_path):
    with pytest.raises(InputError, match=r"folder .* as an output file"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="nothing can be written"):
        check_writable(tmp_path / "file" / "c.json")


def test_check_readable_says_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_readable(tmp_path / "absent.xyz")
    with pytest.raises(InputError, match="is a folder"):
        check_readable(tmp_path)


def test_json_lines_round_trip(tmp_path):
    path = tmp_path / "out" / "run.jsonl"
    assert list(read_json_lines(path)) == []
    entries = [{"index": 0, "name": "å\nb"}, {"index": 1, "energy": -1.5}]
    for entry in entries:
        append_json_line(path, entry)
    assert list(read_json_lines(path)) == entries


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_kill_within_the_last_line_loses_only_that_line(tmp_path, cut):
    path = tmp_path / "run.jsonl"
    for index in range(3):
        append_json_line(path, {"index": index})  # {"index": 2} and a newline are 13 bytes
    whole = path.read_bytes()
    path.write_bytes(whole[: -1 - cut])
    assert list(read_json_lines(path)) == [{"index": 0}, {"index": 1}]
    append_json_line(path, {"index": 9})
    assert list(read_json_lines(path)) == [{"index": 0}, {"index": 1}, {"index": 9}]


def test_a_kill_before_the_newline_loses_nothing(tmp_path):
    path = tmp_path / "run.jsonl"
    append_json_line(path, {"index": 0})
    path.write_bytes(path.read_bytes()[:-1])
    append_json_line(path, {"index": 1})
    assert list(read_json_lines(path)) == [{"index": 0}, {"index": 1}]


def test_damage_in_the_middle_is_not_passed_over(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"index": 0}\nnonsense\n{"index": 2}\n')
    with pytest.raises(InputError, match=re.escape(f"line 2 of {path}")):
        list(read_json_lines(path))


def test_write_json_is_strict(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"gap": float("inf"), "where": tmp_path})

    def refuse(token):
        raise AssertionError(token)

    read = json.loads(path.read_text(), parse_constant=refuse)
    assert read == {"gap": "inf", "where": str(tmp_path)}
