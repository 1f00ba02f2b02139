"""How long it still takes, as far as one can know.

Before anything is drawn, the counts of :mod:`genmol.boltzmann.choice` times the measured cost of a call
say how long the work takes. As soon as there are effective draws, their rate says it: with e of them
after s seconds of drawing, (goal − e)·s/e are left. In between the first estimate stands, and never less
than the time since the last stage began, so that it does not promise an end that is not in sight.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from genmol.boltzmann.settings import Stage

__all__ = ["Forecast"]

_CERTIFICATE = 1.25  # the certificate takes up to a fifth of the time of sampling, and some seconds


@dataclass
class Forecast:
    """Seconds left.

    Attributes:
        expected: seconds of sampling, by counts and costs.
        goal: effective draws.
        seconds: budget; None without one.
    """

    expected: float
    goal: float
    seconds: float | None = None
    _began: float | None = field(default=None, repr=False)
    _rate: float | None = field(default=None, repr=False)
    _looked: float | None = field(default=None, repr=False)

    def left(self, stage: Stage) -> float:
        """Seconds left after a stage's step, the certificate included."""
        if stage.name == "certificate":
            return 0.2 * stage.seconds
        if stage.name == "sampling":
            if self._began is None:
                self._began = stage.seconds
            if stage.effective and stage.effective != self._looked:
                drawing = max(stage.seconds - self._began, 1e-9)
                self._looked, self._rate = stage.effective, stage.effective / drawing
        total = self.expected
        if self._rate is not None and self._began is not None:
            total = self._began + self.goal / self._rate
        if self.seconds is not None:
            total = min(total, self.seconds)
        return max(_CERTIFICATE * total - stage.seconds, 0.05 * stage.seconds)
