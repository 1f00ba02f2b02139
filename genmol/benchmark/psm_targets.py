r"""What potential score matching must and should reach, from the rows of ``genmol benchmark psm``.

Two rules are compared by the geometric mean of what is measured of a system, one number for each seed.
Its logarithm has a mean and a standard deviation over seeds, and rules differ *beyond the spread* when
the means differ by more than the root of the sum of both variances, the standard deviation of a
difference of two single trainings. One seed has no spread, so a quick run is not judged there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from genmol.benchmark.summary import Target
from genmol.core.units import EV_TO_KCAL_MOL, KB

__all__ = ["PSM_COSTS", "Contest", "contests", "psm_targets", "seeds_apart"]

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]

PSM_COSTS: Mapping[str, tuple[float, float]] = {
    "dw4": (math.inf, 10), "lj13": (264, 50), "lj55": (284, 100),
}  # fmt: skip
"""Toy -> calls for an effective draw that must and should be reached; those of DW4 are stated."""

_BETTER = 5 / 7
_FEWEST = 3  # systems
_SIGMAS = 3.0, 1.96
_HEAVY = 0.7
_SECONDS, _MEMORY = 120.0, 4096.0
_SHARE = 0.10, 0.30
_RARE, _ACCURACY = 0.05, 0.2  # of a population; kcal/mol
_KT = KB * 300.0 * EV_TO_KCAL_MOL


class Contest:
    """Potential score matching against denoising, of one system from so many frames.

    Args:
        rows: of ``data``, of one system and number of frames.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {
            rule: [row for row in rows if row["rule"] == rule] for rule in ("springs", "denoising")
        }
        self.complete = all(self.rows.values())

    def values(self, rule: str, metric: str) -> list[float]:
        """By seed."""
        return [float(row["metrics"][metric]) for row in self.rows[rule]]

    def logs(self, rule: str) -> list[float]:
        """Logarithms of the geometric means, by seed."""
        return [
            fmean(_log(float(value)) for value in row["metrics"].values())
            for row in self.rows[rule]
        ]

    @property
    def gain(self) -> float:
        """How much better, as the logarithm of a factor; negative where worse."""
        ours, theirs = fmean(self.logs("springs")), fmean(self.logs("denoising"))
        return 0.0 if ours == theirs else theirs - ours

    @property
    def spread(self) -> float | None:
        """Of a difference over seeds; None of single ones."""
        return seeds_apart(self.logs("springs"), self.logs("denoising"))

    @property
    def behind(self) -> float | None:
        """How much worse, in spreads; negative where better."""
        if self.spread is None:
            return None
        return 0.0 if self.gain == 0 else -self.gain / max(self.spread, 1e-12)


def _log(value: float) -> float:
    """Of a distance; nothing is lost by a bound, and infinite ones can be averaged."""
    return math.log(min(max(value, 1e-12), 1e12))


def seeds_apart(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Standard deviation of a difference of two single ones; None where a spread is not known."""
    if min(len(one), len(other)) < 2:
        return None
    return math.hypot(stdev(one), stdev(other))


def contests(rows: Mapping[str, Row]) -> dict[tuple[str, int], Contest]:
    """By system and number of frames, of which both rules are measured."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows.values():
        if "skipped" not in row:
            groups.setdefault((row["system"], row["frames"]), []).append(row)
    found = {key: Contest(group) for key, group in groups.items()}
    return {key: contest for key, contest in found.items() if contest.complete}


def psm_targets(rows: Rows, wanted: Mapping[str, Sequence[str]]) -> list[Target]:
    """The targets of potential score matching.

    Args:
        rows: rows by section and key.
        wanted: section -> keys of the rows that should be there.
    """

    def of(section: str) -> dict[str, Row]:
        return {key: r for key, r in rows.get(section, {}).items() if "skipped" not in r}

    return [
        *_mixture_targets(list(of("mixture").values()), len(wanted["mixture"])),
        *_data_targets(of("data"), wanted["data"]),
        *_biased_targets(list(of("biased").values()), wanted["biased"]),
        *_cost_targets(of("cost"), wanted["cost"]),
        *_band_targets(list(of("bands").values()), len(wanted["bands"])),
        *_time_targets(of("time"), wanted["time"]),
        *_expensive_targets(list(of("expensive").values()), len(wanted["expensive"])),
        *_amortised_targets(list(of("amortised").values()), len(wanted["amortised"])),
    ]


def _mixture_targets(rows: list[Row], wanted: int) -> list[Target]:
    ratios = []
    for rule in ("smooth", "modes") if rows else ():
        ours = list(zip(*(row["errors"][rule] for row in rows), strict=True))
        theirs = list(zip(*(row["errors"]["piecewise"] for row in rows), strict=True))
        for one, other in zip(ours, theirs, strict=True):
            beyond = fmean(one) - (seeds_apart(one, other) or 0.0)
            ratios.append(max(beyond, 0.0) / fmean(other))
    return [
        Target(
            "mixture: error of smooth and modes less the spread of seeds over that of piecewise, largest",
            max(ratios, default=None), 1.0, None, len(rows), wanted, fewest=2,
        )
    ]  # fmt: skip


def _data_targets(rows: Mapping[str, Row], wanted: Sequence[str]) -> list[Target]:
    found, every = [], contests(rows)
    pairs = {(key.split(" ")[0], int(key.split(" ")[1])) for key in wanted}
    for frames in sorted({n for _, n in pairs}):
        own = {name: c for (name, n), c in every.items() if n == frames}
        better = [name for name, contest in own.items() if contest.gain > 0]
        few = frames == min(n for _, n in pairs)
        found.append(
            Target(
                f"data: systems with better scores than by denoising from {frames} frames (share)",
                len(better) / len(own) if own else None, _BETTER if few else 0.0, 1.0,
                len(own), sum(n == frames for _, n in pairs), at_least=True, fewest=_FEWEST,
                note=f"{len(better)} of {len(own)} measured" if own else "",
            )
        )  # fmt: skip
    behind = [c.behind for c in every.values() if c.behind is not None]
    found.append(
        Target(
            "data: largest step behind denoising (spreads of seeds)",
            max(behind, default=None), 1.0, 0.0, len(behind), len(pairs), fewest=_FEWEST,
        )
    )  # fmt: skip
    return found


def _biased_targets(rows: list[Row], wanted: Sequence[str]) -> list[Target]:
    ours = [row for row in rows if row["rule"] == "springs"]
    expected = sum(key.startswith("springs") for key in wanted)
    outside = sum(not row["inside"] for row in ours)
    must, goal = _SIGMAS
    return [
        Target(
            "biased data: corrected share from the truth, maximum (σ)",
            max((float(row["sigmas"]) for row in ours), default=None), must, goal,
            len(ours), expected,
            note=f"{outside} of {len(ours)} outside of their intervals of 95 %" if ours else "",
        ),
        Target(
            "biased data: Pareto k of the weights, maximum",
            max((float(row["pareto_k"]) for row in ours), default=None), _HEAVY, None,
            len(ours), expected,
        ),
    ]  # fmt: skip


def _cost_targets(rows: Mapping[str, Row], wanted: Sequence[str]) -> list[Target]:
    found = []
    for name in wanted:
        must, goal = PSM_COSTS[name]
        row = rows.get(name)
        note = "" if row is None else (
            f"HMC {float(row['tuned HMC']['gradients_per_effective']):.0f} tuned, "
            f"{float(row['plain HMC']['gradients_per_effective']):.0f} plain"
        )  # fmt: skip
        value = None if row is None else float(row["ours"]["calls_per_effective"])
        found.append(
            Target(f"calls for an effective draw, {name.upper()}", value, must, goal,
                   int(row is not None), 1, note=note)
        )  # fmt: skip
    return found


def _band_targets(rows: list[Row], wanted: int) -> list[Target]:
    words = {
        "energy_w2": "energy W2",
        "distance_tv": "TV of distances",
        "populations": "populations",
    }
    found = []
    for metric, name in words.items():
        ratios = [float(row["found"][metric]) / float(row["floor"][metric]["high"]) for row in rows]
        found.append(
            Target(f"bands: {name} over the end of the band of exact against exact, maximum",
                   max(ratios, default=None), 1.0, None, len(rows), wanted)
        )  # fmt: skip
    return found


def _time_targets(rows: Mapping[str, Row], wanted: Sequence[str]) -> list[Target]:
    seconds = [float(row["seconds"]) for row in rows.values() if "seconds" in row]
    peaks = [float(row["peak_mib"]) for row in rows.values() if "peak_mib" in row]
    trainings = sum(key.endswith(" training") for key in wanted)
    return [
        Target("1000 corrected states of LJ13: seconds in two processes",
               max(seconds, default=None), _SECONDS, None, len(seconds), len(wanted) - trainings),
        Target("peak memory of training LJ55 (MiB)",
               max(peaks, default=None), _MEMORY, None, len(peaks), trainings),
    ]  # fmt: skip


def _expensive_targets(rows: list[Row], wanted: int) -> list[Target]:
    shares = [float(row["reweighting"]["share"]) for row in rows]
    direct = [float(row["direct"]["share"]) for row in rows]
    must, goal = _SHARE
    sigmas, energies = population_difference(rows)
    return [
        Target(
            "PBE from GFN2: effective share of the weights, minimum",
            min(shares, default=None), must, goal, len(rows), wanted, at_least=True,
            note=f"directly {min(direct):.1%} to {max(direct):.1%}" if direct else "",
        ),
        Target("PBE from GFN2: calls, maximum", max((float(r["calls"]) for r in rows), default=None),
               500, None, len(rows), wanted),
        Target("PBE from GFN2: largest difference of a population between seeds (σ)",
               sigmas, _SIGMAS[0], _SIGMAS[1], len(rows), wanted, fewest=2),
        Target("PBE from GFN2: largest difference of a free energy between seeds (kcal/mol)",
               energies, _ACCURACY, None, len(rows), wanted, fewest=2),
    ]  # fmt: skip


def _amortised_targets(rows: list[Row], wanted: int) -> list[Target]:
    """Stated, not required: a model of many molecules ships if it reaches the goal."""
    ratios = []
    for row in rows:
        theirs = min(float(row[way]["calls_per_effective"]) for way in ("delayed", "tempering"))
        ratios.append(float(row["ours"]["calls_per_effective"]) / theirs)
    return [
        Target(
            "amortised: calls for an effective draw over those of the cheapest chains, median",
            median(ratios) if ratios else None, math.inf, 1.0, len(rows), wanted, fewest=_FEWEST,
            note=f"fewer calls for {sum(r < 1 for r in ratios)} of {len(ratios)}" if ratios else "",
        )
    ]  # fmt: skip


def population_difference(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """Largest difference between rows of a molecule: in σ of both populations, and in kcal/mol.

    Of states of at least 5 % in one of two rows; None of single rows.
    """
    sigmas, energies = list[float](), list[float]()
    for k, one in enumerate(rows):
        for other in rows[:k]:
            if one["molecule"] != other["molecule"]:
                continue
            for state in {*one["states"], *other["states"]}:
                (p, sigma), (q, tau) = (
                    _population(row["states"].get(state)) for row in (one, other)
                )
                if max(p, q) >= _RARE:
                    sigmas.append(abs(p - q) / max(math.hypot(sigma, tau), 1e-12))
                    energies.append(_KT * abs(_log(p) - _log(q)))
    return max(sigmas, default=None), max(energies, default=None)


def _population(state: Sequence[float] | None) -> tuple[float, float]:
    """Value and σ; nothing is known of a state that was not seen but that it is rare."""
    if state is None:
        return 0.0, 0.0
    value, low, high = map(float, state)
    return value, max(high - value, value - low) / 1.96
