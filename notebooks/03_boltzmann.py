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
# # Is this a Boltzmann sample?
#
# **Run time:** 14 s of one core, the start of the kernel included. **Data:** none.
#
# A set of conformers says something about a molecule at room temperature only if it is drawn from
# the Boltzmann law, exp(−U/kT). Programs that make conformers seldom say whether theirs are.
# This notebook takes a double well, where everything is known, breaks the sampling in three ways,
# and looks at what the certificate makes of it. Then it does a small diol.

# %%
import numpy as np
import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from genmol.boltzmann.check import Evidence, check_samples
from genmol.boltzmann.conformer_job import Request, sample_molecule
from genmol.boltzmann.density_job import sample_density
from genmol.boltzmann.systems import System
from genmol.chem.species import species_from_smiles
from genmol.plots.ensemble import torsions
from genmol.plots.ensemble_basins import populations
from genmol.plots.style import GREY, PALETTE, png, styled
from genmol.potentials.mmff import MMFF
from samplers.hmc import HMC
from samplers.run import run
from samplers.toys import DoubleWell


def table(head: list[str], rows: list[tuple[object, ...]]) -> None:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    display(Markdown("\n".join(lines)))


# %% [markdown]
# ## 1. A double well
#
# U(x) = x⁴ − 4x² − x/2 in units of kT: two wells with a barrier of four kT between them. The share of
# the right-hand well is an integral over one coordinate, so we know it exactly. Eight short runs of
# Hamiltonian Monte Carlo that all begin on the left have seen the other side, but not for long;
# `sample_density` notices in a pilot that its runs disagree, or not, chooses, and goes on until its
# draws are worth as much as was asked for.

# %%
toy = DoubleWell()
truth = toy.truths["right"].value

left = torch.full((8, 1), -1.3, dtype=torch.float64)
short = run(HMC(step_size=0.2, leaps=3), toy, left, seed=1, warm_up=20, draws=60)
stuck = short.x.transpose(0, 1).flatten(0, 1)
stuck_run = torch.arange(8).repeat_interleave(60)

starts = torch.tensor([[-1.3], [1.4]], dtype=torch.float64).repeat(8, 1)  # eight in either well
found = sample_density(toy, starts=starts, n=150, checking=200_000)

with styled():
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    grid = torch.linspace(-2.4, 2.6, 400, dtype=torch.float64)[:, None]
    density = (toy.log_density(grid) - toy.truths["log_z"].value).exp()
    for ax, draws, title in zip(
        axes, (stuck, found.x), ("eight short runs from the left", "sample_density"), strict=True
    ):
        ax.hist(draws.flatten().numpy(), bins=60, density=True, color=PALETTE[4], label="draws")
        ax.plot(grid.flatten(), density, color=GREY, label="exact")
        ax.set(title=title, xlabel="x")
    axes[0].set_ylabel("probability density")
    axes[0].legend()
display(Image(png(figure)))

# %% [markdown]
# Every draw of the left picture has a sensible energy, and each well looks right by itself. What is
# wrong is the share of the wells, which no look at single draws can tell.
#
# ## 2. What the certificate says
#
# The certificate asks the draws what an exact sample must answer, whatever the density: do forces
# and energies obey the identities of the canonical ensemble, do the draws stay what they are when
# sampled further, do independent runs find the same states with the same weights? Each check fails a
# correct sample with a probability of 0.001; runs that disagree too much to say how the wells compare
# speak against the weights as well. Three broken sets and the right one:

# %%
warm = found.x * 1.05  # as if a length had been mistaken
cut = found.x[(found.x.abs() < 1.7).flatten()]  # somebody dropped what looked odd

rows = []
for name, draws, runs in [
    ("as sampled", found.x, found.run),
    ("short runs from the left", stuck, stuck_run),
    ("all x five per cent too large", warm, found.run),
    ("all beyond ±1.7 dropped as outliers", cut, None),
]:
    checked = check_samples(
        draws,
        System.of(toy, 1.0),
        runs=runs,
        evidence=Evidence(starts=starts),
        gradients=200_000,
    )
    right = float((draws > 0).double().mean())
    against = [
        f.check.name
        for f in checked.certificate.findings
        if f.check.status != "pass" and f.part != "note"
    ]
    rows.append(
        (name, f"{right:.3f}", checked.certificate.verdict, "; ".join(against) or "nothing")
    )
table(["draws", f"right well (exact {truth:.3f})", "verdict", "what speaks against it"], rows)

# %% [markdown]
# ## 3. A small diol
#
# 1,2-Ethanediol has three torsions, and a hydrogen bond that decides between their combinations. The
# same machinery runs on it, with jumps of torsions between known minima; MMFF94 is used here because
# it costs nothing, `genmol sample OCCO` takes GFN2-xTB.

# %%
species = species_from_smiles("OCCO")
diol = sample_molecule(species, MMFF(species.mol), request=Request(n=100, seed=3))
observables = diol.certificate.observables
display(Image(png(populations(observables.states))))
display(Image(png(torsions(observables.histograms, folds=diol.folds))))
print(diol.certificate.verdict)
print(f"{diol.certificate.gradient_calls} gradients, {diol.certificate.seconds:.0f} s")

# %% [markdown]
# What most programs would give instead are minima with Boltzmann factors of their energies. That
# leaves out how wide the wells are:

# %%
energies = diol.ensemble.energies[torch.from_numpy(diol.representatives)].numpy()
factor = np.exp(-(energies - energies.min()) / (8.617333e-5 * 300))
table(
    ["basin (degrees)", "sampled", "from the lowest energy met"],
    [
        (state.name, f"{100 * state.population.value:.0f} %", f"{100 * share:.0f} %")
        for state, share in zip(observables.states[:6], factor / factor.sum(), strict=False)
    ],
)
