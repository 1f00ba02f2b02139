"""Errors a user can act on: what was got, what was wanted, what to try.

Every error that genmol raises on purpose derives from :class:`GenmolError`. The class decides the
exit code of the command line, the three fields make its one paragraph of text:

======================  =========  =================================================
class                   exit code  whose fault it is
======================  =========  =================================================
:class:`InputError`     2          the input: file, molecule, option, missing extra
:class:`DeliveryError`  3          nobody's: the run ended without a certified answer
anything else           1          ours: a bug
======================  =========  =================================================
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["DeliveryError", "GenmolError", "InputError", "MissingExtraError"]


class GenmolError(Exception):
    """Base of every deliberate error.

    Args:
        got: what was found, as a phrase without a full stop.
        wanted: what would have been accepted, likewise.
        remedy: what to try, likewise; an imperative sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *, got: str, wanted: str, remedy: str) -> None:
        self.got, self.wanted, self.remedy = (
            text.strip().rstrip(".") for text in (got, wanted, remedy)
        )
        super().__init__(f"Got {self.got}; wanted {self.wanted}. Try: {self.remedy}.")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by positional arguments; ours has keyword-only ones, and it must cross
        # the border of a worker process whatever constructor a subclass chooses.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[GenmolError], args: tuple[Any, ...], state: dict[str, Any]) -> GenmolError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(GenmolError, ValueError):
    """The input cannot be used as it is. Exit code 2."""

    exit_code = 2


class DeliveryError(GenmolError, RuntimeError):
    """The run could not deliver, or its certificate failed. Exit code 3."""

    exit_code = 3


class MissingExtraError(InputError, ImportError):
    """An optional package is needed and not installed. Exit code 2.

    Args:
        package: the import name that was missing, e.g. ``"torch_scatter"``.
        extra: the pip extra of genmol that installs it, e.g. ``"scatter"``.
    """

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            got=f"no installed package {package!r}",
            wanted=f"genmol with its optional extra [{extra}]",
            remedy=f"pip install 'genmol[{extra}]'",
        )
        self.package, self.extra = package, extra
