# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why two exact Fock builds suffice
#
# **Run time:** under 30 seconds on one core. **Data:** none is downloaded; methanol and nitrogen
# dioxide come with the package, the trajectory is `examples/ethanol_trajectory.xyz` (GFN2-xTB
# dynamics).
#
# A density functional calculation looks for a density *D* that reproduces itself: *D* determines
# a Fock matrix *F*(*D*), and the lowest orbitals of *F*(*D*) must give *D* back. Every program
# finds it by repetition. The dear step is the *exact Fock build*, the evaluation of *F*(*D*) with
# all integrals and on the full quadrature grid. How far a density is from the solution is
# measured by the orbital gradient norm |g|, which vanishes at the solution; PySCF is content
# below the square root of its energy threshold.
#
# This notebook shows how genmol gets by with so few of these builds, what happens to molecules
# that resist, and how a trajectory makes each frame help the next.

# %%
from itertools import pairwise
from math import prod
from pathlib import Path

from ase import Atoms
from IPython.display import Image, Markdown, display

from genmol.benchmark.molecules import structure
from genmol.core.structure import read_structures
from genmol.plots.scf import convergence, own_histories
from genmol.plots.style import png
from genmol.qc.baselines import watch
from genmol.qc.extrapolate import GrassmannExtrapolator
from genmol.scf import Settings
from genmol.scf.certified import mean_field, solve


def table(head: list[str], rows: list[tuple[object, ...]]) -> None:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    display(Markdown("\n".join(lines)))


# %% [markdown]
# ## 1. The plain way, and ours
#
# First PySCF itself on methanol: it starts from superposed atoms and extrapolates from its own
# history (DIIS). We count every Fock build and note |g| after each.

# %%
methanol = structure("methanol")
settings = Settings(xc="b3lyp", basis="6-31g*")

plain = watch(mean_field(methanol, settings))
mf, report = solve(methanol, settings)

display(
    Markdown(
        f"PySCF needed **{plain.exact_fock_builds}** exact builds, genmol "
        f"**{report.exact_fock_builds}** and {report.cheap_fock_builds} cheap ones. The energies "
        f"differ by {abs(report.energy_hartree - plain.energy_hartree):.0e} Hartree."
    )
)
threshold = settings.conv_tol**0.5
own = own_histories(report.to_dict())
display(Image(png(convergence(own, {"minao": plain.points}, threshold=threshold))))

# %% [markdown]
# ## 2. The offset
#
# The *cheap level* is the same functional with fitted integrals and on a coarse grid. It is
# wrong, and on its own it would converge to a wrong density. But its error hardly changes while
# the density changes a little. So genmol
#
# 1. converges the cheap level, which gives a density *D*,
# 2. builds the exact Fock matrix once, at *D*,
# 3. keeps the difference *O* = *F*exact(*D*) − *F*cheap(*D*) as a constant **offset**,
# 4. converges the cheap level again with *O* added, and returns to 2.
#
# Wherever this stops, *F*cheap(*D*) + *O* equals *F*exact(*D*): the answer is exact, however
# rough the cheap level. Its roughness decides only the speed. An error in *D* comes back
# multiplied by the relative error of the cheap level's *response*, the **shrinking factor**. To
# see it, we ask for a far tighter solution than anyone needs, and watch |g| from build to build.

# %%
tight = solve(methanol, Settings(xc="b3lyp", basis="6-31g*", conv_tol=1e-13)).report
norms = tight.attempts[-1].gradient_norms
table(
    ["exact build", "norm of g / Hartree", "smaller than before by a factor"],
    [(i + 1, f"{g:.1e}", f"{norms[i - 1] / g:.0f}" if i else "") for i, g in enumerate(norms)],
)
ours = [a / b for a, b in pairwise(norms)]
theirs = [a / b for (_, a), (_, b) in pairwise(plain.points)]
display(
    Markdown(
        f"On average one exact build of ours divides |g| by "
        f"**{prod(ours) ** (1 / len(ours)):.0f}**, one of PySCF's iterations by "
        f"**{prod(theirs) ** (1 / len(theirs)):.1f}**. The first build already starts at "
        f"{norms[0]:.0e}, because the cheap level has done the rough work; one division later "
        f"|g| is {norms[1]:.0e}, and the threshold is {threshold:.0e}. "
        "That is why two builds suffice."
    )
)

# %% [markdown]
# Near the solution the energy is a parabola: its error goes with the *square* of |g|. So one
# exact build often gives a useful energy, and the cheap level can say how far it is off. That is
# `--mode single-build`; the estimate is part of the report.

# %%
single = solve(methanol, Settings(xc="b3lyp", basis="6-31g*", mode="single-build")).report
display(
    Markdown(
        f"One exact build: estimated error {single.energy_error_estimate_hartree:.1e} Hartree, "
        f"true error {single.energy_hartree - tight.energy_hartree:.1e} Hartree."
    )
)

# %% [markdown]
# ## 3. Molecules that resist
#
# Unpaired electrons make life harder: several solutions may lie close together, and the
# iterations may wander between them. Two numbers warn. The **gap** between the highest occupied
# and the lowest empty orbital: where it is small, a tiny change of *F* swaps them. And **⟨S²⟩**,
# which is *S*(*S*+1) for a pure spin state; an excess means that the determinant mixes states.
#
# Nitrogen dioxide is an ordinary doublet at its equilibrium. Pulled apart it is not. The iron
# atom, whose d shell is filled only in part, has many solutions that differ in nothing but
# orientation.

# %%
no2 = structure("nitrogen_dioxide")
stretched = no2.copy()
stretched.positions *= 1.6
iron = Atoms("Fe", info={"multiplicity": 5})

cases = {"NO2": no2, "NO2, bonds 1.6 times as long": stretched, "iron atom, quintet": iron}
reports = {
    name: solve(atoms, Settings(xc="b3lyp", basis="def2-svp")).report
    for name, atoms in cases.items()
}
rows = []
for name, found in reports.items():
    s = 0.5 * (found.settings["multiplicity"] - 1)
    for attempt in found.attempts:
        excess = "" if attempt.spin_square is None else f"{attempt.spin_square - s * (s + 1):.3f}"
        gap = "" if attempt.gap_hartree is None else f"{attempt.gap_hartree:.3f}"
        costs = f"{attempt.exact_builds} + {attempt.cheap_builds}"
        ended = attempt.reason.replace("|", r"\|")  # a bar would end the cell
        rows.append((name, attempt.strategy, ended, costs, gap, excess))
table(
    [
        "molecule",
        "attempt",
        "how it ended",
        "exact + cheap builds",
        "gap / Hartree",
        "⟨S²⟩ − S(S+1)",
    ],
    rows,
)

# %% [markdown]
# Every attempt is on record. Where one fails, the next goes about it more carefully: a fresh
# guess, then damping, then a level shift that keeps occupied and empty orbitals apart, and at
# last PySCF's second-order solver on the exact level. And the certificate says what a converged
# number alone would hide:

# %%
for name, found in reports.items():
    doubts = [check for check in found.certificate.checks if check.status != "pass"]
    text = "; ".join(f"{c.name} = {c.value:.3g}: {c.advice}" for c in doubts) or "no doubts"
    display(Markdown(f"**{name}**, verdict *{found.certificate.verdict}*: {text}"))

# %% [markdown]
# ## 4. A trajectory
#
# Along a trajectory the best guess for a frame is made of the frames before it. Densities cannot
# simply be averaged, because the mean of two idempotent matrices is not idempotent. They are
# points of a curved space, the Grassmann manifold; genmol maps them to its flat tangent space,
# combines them there with the coefficients that best combine their *geometries*, and maps the
# result back. Hartree-Fock keeps this example quick.

# %%
examples = next(p for p in (Path("examples"), Path("../examples")) if p.exists())
frames = read_structures(examples / "ethanol_trajectory.xyz")[:12]
level = Settings(xc="hf", basis="6-31g")
extrapolator = GrassmannExtrapolator()
rows = []
for frame in frames:
    problem = mean_field(frame, level)
    cold = solve(frame, level).report
    warm = solve(problem, level, density=extrapolator.predict(problem), density_name="extrapolated")
    extrapolator.add(warm.mf)
    rows.append((cold, warm.report))

table(
    [
        "time / fs",
        "start",
        "exact + cheap builds",
        "without memory",
        "energies differ by / Hartree",
    ],
    [
        (
            frame.info["time_fs"],
            warm.guess,
            f"{warm.exact_fock_builds} + {warm.cheap_fock_builds}",
            f"{cold.exact_fock_builds} + {cold.cheap_fock_builds}",
            f"{abs(warm.energy_hartree - cold.energy_hartree):.0e}",
        )
        for frame, (cold, warm) in zip(frames, rows, strict=True)
    ],
)
saved = sum(c.cheap_fock_builds - w.cheap_fock_builds for c, w in rows)
total = sum(c.cheap_fock_builds for c, _ in rows)
display(
    Markdown(
        f"Over {len(frames)} frames the extrapolated densities saved {saved} of {total} cheap "
        "builds. A guess is checked before it is used: one that is worse than none is refused, "
        "and the report says so."
    )
)
