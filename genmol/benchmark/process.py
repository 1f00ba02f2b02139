"""One job in a process of its own, for what an earlier job would spoil: peaks of memory, imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from genmol.core.errors import DeliveryError

__all__ = ["in_own_process"]


def in_own_process(
    module: str, job: Mapping[str, Any], *arguments: str, wanted: str
) -> dict[str, Any]:
    """Run ``python -m module`` with the job as JSON on stdin; return the JSON of its last line.

    Args:
        module: that reads the job and prints the answer.
        job: plain values.
        arguments: of the module's command line.
        wanted: what the answer is, for the error.

    Raises:
        DeliveryError: the process failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeliveryError(
            got=f"exit code {done.returncode} from {' '.join([module, *arguments])} ({last})",
            wanted=wanted,
            remedy="free some memory and use --resume; the rows so far are kept",
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))
