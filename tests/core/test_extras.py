"""An absent optional package names its extra; a broken one shows its own error."""

import sys

import pytest

from genmol.core.errors import MissingExtraError
from genmol.core.extras import import_extra


def test_present_absent_and_unknown():
    assert import_extra("json", extra="farm") is sys.modules["json"]
    with pytest.raises(MissingExtraError, match=r"pip install 'genmol\[farm\]'"):
        import_extra("absent_package.inner", extra="farm")
    with pytest.raises(ValueError, match="'nonsense'"):
        import_extra("json", extra="nonsense")


def test_a_broken_package_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import absent_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="absent_dependency") as caught:
        import_extra("broken_package", extra="farm")
    assert not isinstance(caught.value, MissingExtraError)
