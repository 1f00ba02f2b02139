"""Peak memory of a training, measured by the process that makes it.

``python -m genmol.benchmark.psm_memory`` reads toy, frames, folder and minutes as JSON from
stdin and prints ``{"peak_mib", "steps"}``: memory once touched stays in a peak, so the process does
nothing else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from genmol.benchmark.peak import peak_mib
from genmol.benchmark.process import in_own_process

__all__ = ["memory_row"]


def memory_row(name: str, *, frames: int, minutes: float, cache: Path) -> dict[str, Any]:
    """Train on a toy in a fresh process and return its peak (MiB).

    Args:
        name: of the toy.
        frames: to train on.
        minutes: of the processor.
        cache: folder of the frames.
    """
    from genmol.benchmark.psm_training import toy_frames

    toy_frames(name, frames, cache)
    job = {"toy": name, "frames": frames, "cache": str(cache), "minutes": minutes}
    found = in_own_process("genmol.benchmark.psm_memory", job, wanted="its peak memory")
    return {"toy": name, "frames": frames, "minutes": minutes, **found}


def _main() -> None:
    from genmol.benchmark.psm_training import toy_frames, trained
    from genmol.core.threads import set_threads

    set_threads(1)
    job = json.load(sys.stdin)
    frames = toy_frames(job["toy"], job["frames"], Path(job["cache"]))
    found = trained(frames, rule="springs", minutes=job["minutes"], seed=0, toy=job["toy"])
    json.dump({"peak_mib": peak_mib(), "steps": found.steps}, sys.stdout)


if __name__ == "__main__":
    _main()
