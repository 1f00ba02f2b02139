"""Checkpoints that a kill cannot spoil, and the choice of the one to go on with.

``checkpoints/step_000001500.ckpt`` is a Lightning checkpoint: weights, their average, the optimizer,
the step and the time trained. It is written to a temporary name and renamed, and the last three are
kept, so that there is one to go on with whatever happens to the newest. They are read without
unpickling anything but tensors and plain values.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError

__all__ = ["checkpoint_files", "find_checkpoint", "save_checkpoint"]

_KEPT = 3
_NAME = re.compile(r"step_(\d{9})\.ckpt")


def checkpoint_files(folder: Path) -> dict[int, Path]:
    """Steps and files of the checkpoints in ``folder``, oldest first."""
    found = {int(m[1]): p for p in folder.glob("*.ckpt") if (m := _NAME.fullmatch(p.name))}
    return dict(sorted(found.items()))


def save_checkpoint(trainer: Any, folder: Path) -> Path:
    """Write the present state of ``trainer``, all or nothing, and remove old ones.

    All processes of a distributed run call it; the first one writes.
    """
    path = folder / f"step_{trainer.global_step:09d}.ckpt"
    temporary = folder / f".{path.name}"
    folder.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(temporary)
    if trainer.is_global_zero:
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        for old in list(checkpoint_files(folder).values())[:-_KEPT]:
            old.unlink()
    return path


def find_checkpoint(folder: Path) -> tuple[int, Path | None]:
    """The step and file of the newest whole checkpoint; (0, None) where there is none at all.

    A damaged one is passed over with a warning.

    Raises:
        InputError: there are checkpoints, and all are damaged.
    """
    import torch  # here, because listing files needs none

    files = checkpoint_files(folder)
    for step, path in reversed(files.items()):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["global_step"] == step and "seconds" in content:
                return step, path
            fault = "it is not a checkpoint of this program"
        except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError) as error:
            fault = str(error).splitlines()[0] if str(error) else type(error).__name__
        except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
            fault = str(error).splitlines()[0]
        warnings.warn(
            f"the checkpoint {path} is damaged ({fault}); the one before it is taken",
            UserWarning,
            stacklevel=2,
        )
    if files:
        raise InputError(
            got=f"{len(files)} checkpoints in {folder}, all damaged",
            wanted="one whole checkpoint to go on with",
            remedy="choose another --out to start again, with --from if weights were exported",
        )
    return 0, None
