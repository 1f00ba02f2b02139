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
# # A Fock matrix without a self-consistent field
#
# **Run time:** under 30 seconds on one core. **Data:** none is downloaded; the trained model and
# all structures come with the package.
#
# A Kohn-Sham calculation repeats one step until nothing changes: a density gives a Fock matrix *F*,
# and the lowest orbitals of *F* give the next density. A network that knew the final *F* from the
# geometry alone would make the repetition unnecessary. This notebook asks the small model that is
# shipped with genmol, looks at where it errs, and shows what its answer is worth: as an answer, as
# a start for PySCF, and as a start for genmol's own solver, which needs far less help than PySCF.

# %%
from dataclasses import replace

import numpy as np
import torch
from IPython.display import Image, Markdown, display

from genmol.benchmark import held_out
from genmol.benchmark.molecules import structure
from genmol.plots.hamiltonian import block_errors, fock_matrices, gradient_ladder
from genmol.plots.scf import own_histories
from genmol.plots.style import png
from genmol.qc.baselines import watch
from genmol.qc.orbitals import initial_fock, shells_of
from genmol.scf import LearnedModel, Settings, predict, solve
from genmol.scf.certified import mean_field
from genmol.scf.examples import FockExample
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel, FockModelConfig
from genmol.scf.picture import orbital_kinds
from genmol.scf.qhflow import Objective, objective, sample

MODEL = "hamiltonian-small"
settings = Settings(model=MODEL)  # B3LYP/def2-SVP, the level the model was trained for


def table(head: list[str], rows: list[tuple[object, ...]]) -> None:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    display(Markdown("\n".join(lines)))


# %% [markdown]
# ## 1. Predict
#
# The network does not predict *F* from nothing. It is given a first guess that costs little (for
# superposed atoms) and predicts the correction; turning the molecule turns the answer, exactly.
# Diagonalising the sum gives orbitals, and with them everything that follows from orbitals.
# Nothing is verified here, so every number comes with an interval: on molecules that the model had
# not seen, 95 % of the numbers lay within theirs.

# %%
ethanol = structure("ethanol")
solved = solve(ethanol, Settings(guess="cheap-scf"))
predicted = predict(ethanol, settings).prediction
true = solved.report.properties

dipeptide = predict(structure("alanine_dipeptide"), settings).prediction
# the converged values, for which genmol's solver takes half a minute
known = {"homo_ev": -6.6143, "lumo_ev": 0.4747, "gap_ev": 7.0890, "dipole_moment_debye": 3.1502}


def line(name: str, found: object, value: float) -> tuple[object, ...]:
    bounds = found.intervals[name]
    interval = "none" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
    return name, f"{getattr(found, name):.3f}", interval, f"{value:.3f}"


reference = {name: true[name] for name in ("homo_ev", "lumo_ev")}
reference["gap_ev"] = true["lumo_ev"] - true["homo_ev"]
reference["dipole_moment_debye"] = float(np.linalg.norm(true["dipole_debye"]))
for title, found, values in (
    ("Ethanol", predicted, reference),
    ("Alanine dipeptide, three times as many heavy atoms", dipeptide, known),
):
    display(
        Markdown(f"**{title}**, {found.cpu_seconds:.1f} s, verdict *{found.certificate.verdict}*")
    )
    table(
        ["quantity", "predicted", "interval", "solved"],
        [line(name, found, value) for name, value in values.items()],
    )

# %% [markdown]
# The time of a prediction is mostly that of its input, the first guess with its integrals; the
# network itself takes milliseconds. An honest comparison is not the full solve but the cheap
# level of genmol's solver, converged without learning: it is right within a few meV and takes
# a second for a molecule like this. Predictions pay where there are many molecules, or large ones.

# %%
seconds = predicted.learned
display(
    Markdown(
        f"Ethanol: {seconds['initial_seconds']:.2f} s for the first guess, "
        f"{seconds['inference_seconds']:.2f} s for the network."
    )
)

# %% [markdown]
# ## 2. Where it errs
#
# The two matrices look the same; only the difference shows anything. Mind the scales: the elements
# reach 20 Hartree, the errors are counted in millionths of one.

# %%
model = LearnedModel.load(MODEL)
answer = model.predict(mean_field(ethanol, settings))
true_fock = solved.mf.get_fock()
kinds = orbital_kinds(solved.mf)
display(Image(png(fock_matrices(answer.fock, true_fock, kinds, title="Ethanol, B3LYP/def2-SVP"))))

# %%
display(
    Image(png(block_errors(answer.fock - true_fock, kinds, title="Ethanol, mean errors by block")))
)

# %% [markdown]
# What a solver feels of an error is not its size but its effect: how much it mixes occupied with
# empty orbitals. That is the orbital gradient |g|, and an error along a direction in which the
# basis is nearly dependent counts many times. genmol damps the prediction along such directions
# and checks every guess before using it: one that is worse than superposed atoms is refused, and
# the report says so.

# %% [markdown]
# ## 3. A start for a solver
#
# Methanol, out of equilibrium, is a molecule that the model was never trained on. Plain PySCF
# starts from superposed atoms (`minao`, its default) or from the predicted density; beside it
# genmol's two-level solver, with and without the prediction.

# %%
methanol = held_out.by_key("CO hot").atoms
problem = mean_field(methanol, settings)
guess = model.predict(problem)
runs = {"minao": watch(problem), "learned + PySCF": watch(problem, density=guess.density)}
reports = {
    "two-level": solve(methanol, Settings(guess="cheap-scf")).report,
    "learned + two-level": solve(methanol, replace(settings, guess="learned")).report,
}
hidden = int(model.start == "minao")
table(
    ["way", "exact builds", "cheap builds", "energy / Hartree"],
    [
        (
            name,
            run.exact_fock_builds,
            hidden * name.startswith("learned"),
            f"{run.energy_hartree:.8f}",
        )
        for name, run in runs.items()
    ]
    + [
        (name, r.exact_fock_builds, r.cheap_fock_builds, f"{r.energy_hartree:.8f}")
        for name, r in reports.items()
    ],
)
paths = {name: run.points for name, run in runs.items()}
paths |= {n: next(iter(own_histories(r.to_dict()).values())) for n, r in reports.items()}
starts = {name: [points[0][1]] for name, points in paths.items()}
threshold = settings.conv_tol**0.5
display(Image(png(gradient_ladder(starts, paths, threshold=threshold, title="Methanol at 500 K"))))

# %% [markdown]
# All end at the same energy. PySCF saves some of its cycles. The two-level solver needs two exact
# builds with or without learning; what the prediction replaces are its first cheap builds, and
# whether that pays is a matter of size. `--guess auto`, the default, estimates both and decides:

# %%
chosen = solve(methanol, settings).report
display(Markdown(f"guess **{chosen.guess}**: {chosen.guess_reason}"))

# %% [markdown]
# ## 4. The flow
#
# A regression gives one answer. A *flow* learns how to carry a random matrix *H*₀ to the
# correction, along straight lines *H*(t) = (1 − t) *H*₀ + t Δ*H*, and can be sampled. Where the data
# decide the answer, samples agree; where they do not, the samples spread. Below a tiny flow is trained
# for some seconds on a dozen distorted water molecules (Hartree-Fock, a small basis), and asked
# about the normal molecule and about one that is pulled far apart.

# %%
level = Settings(xc="hf", basis="6-31g", guess="cheap-scf")
water = structure("water")
rng = np.random.default_rng(0)


def example(atoms: object, name: str) -> FockExample:
    mf = solve(atoms, level).mf
    return FockExample(
        name, "water", "train", atoms.numbers.astype(np.int64), atoms.positions, mf.get_ovlp(),
        initial_fock(mf, "sap"), mf.get_fock(), mf.mo_coeff, mf.mo_energy, mf.mol.nelectron // 2,
    )  # fmt: skip


def distorted(width: float) -> object:
    atoms = water.copy()
    atoms.positions += rng.normal(0, width, atoms.positions.shape)
    return atoms


training = [example(distorted(0.05), f"{i}") for i in range(12)]
stretched = water.copy()
stretched.positions *= 1.35
asked = {"normal": example(water, "normal"), "pulled apart": example(stretched, "apart")}

# %%
torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
config = FockModelConfig(
    shells_of(mean_field(water, level).mol), start="sap", flow=True, l_max=2, channels=16,
    other_channels=4, edge_channels=(32, 8, 24, 16), product_channels=8, layers=2, n_radial=8,
    embedding=16,
)  # fmt: skip
flow = FockModel(config)
law = Objective(sigma=0.02)
batch = FockBatch.collate(training, flow.slots, cutoff=config.cutoff)
flow.calibrate([batch])
optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
for _ in range(50):
    loss, _ = objective(flow, batch, law, generator)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

rows = []
for name, molecule in asked.items():
    one = FockBatch.collate([molecule], flow.slots, cutoff=config.cutoff)
    draws = torch.stack([sample(flow, one, law, generator, steps=3)[0] for _ in range(8)])
    truth = one.targets.delta[0]
    rows.append(
        (
            name,
            f"{1e6 * truth.abs().mean():.0f}",
            f"{1e6 * (draws.mean(0) - truth).abs().mean():.0f}",
            f"{1e6 * draws.std(0).mean():.0f}",
        )
    )
table(["water", "first guess off by / µEh", "mean sample off by", "spread of samples"], rows)

# %% [markdown]
# The stretched molecule is outside what the flow has seen: it is further off there. Which of the two,
# flow or regression, gives the better start at equal compute is measured by `genmol benchmark
# qhflow`; the shipped models are regressions. What a model is worth on molecules it has not
# seen is measured by `genmol benchmark learned`; to train one on a system of your own, label some
# hundred geometries (`genmol label`) and run `genmol train hamiltonian --from hamiltonian-small`.
