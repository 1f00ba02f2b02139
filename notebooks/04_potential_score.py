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
# # Forces teach a score
#
# **Run time:** 25 s of one core, the start of the kernel included. **Data:** none.
#
# A diffusion model learns the score ∇ log p of noised data. Data from a simulation come with forces,
# and forces are scores: those of the data without noise. Potential score matching makes use of them.
# This notebook takes two particles whose distance has two preferred values, where everything is
# known, and looks at what forces mend (the shape of basins), what they do not (their shares), and
# what does.

# %%
import math

import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.psm import Mixing, objective, stiffness_of
from genmol.boltzmann.score_batch import Particles, ScoreBatch, ScoreFrame
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.plots.style import BLACK, GREY, PALETTE, png, styled
from genmol.train.muon import Muon
from samplers.reweight import expectation, kish
from samplers.rng import Streams
from samplers.spaces import MeanFree
from samplers.target import Density


def table(head: list[str], rows: list[tuple[object, ...]]) -> None:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    display(Markdown("\n".join(lines)))


# %% [markdown]
# ## 1. A pair in contact or apart
#
# In the plane, the distance r of two particles is 1 ± 0.05 or 2.2 ± 0.25, half of the time each: a
# stiff basin and a soft one. Its density is a sum of two normal ones, so exact draws cost nothing,
# and the score under noise is an integral over r.

# %%
SHARES, CENTRES, WIDTHS = (torch.tensor(v).double() for v in ([0.5, 0.5], [1.0, 2.2], [0.05, 0.25]))
SPACE, PAIR = MeanFree(2, 2), Particles(torch.ones(2, dtype=torch.int64), dimension=2)


def log_radial(r: Tensor) -> Tensor:
    """Of the distance."""
    scaled = (r[..., None] - CENTRES) / WIDTHS
    return (SHARES.log() - WIDTHS.log() - 0.5 * scaled**2 - 0.5 * math.log(2 * math.pi)).logsumexp(
        -1
    )


def distance(x: Tensor) -> Tensor:
    return (x[:, 0] - x[:, 1]).norm(dim=1)


LAW = Density(lambda x: log_radial(distance(x)) - distance(x).log(), SPACE)  # Z = π


def draw(n: int, shares: list[float], *, seed: int) -> Tensor:
    """Exactly, with any shares of the two basins."""
    streams = Streams.of(seed=seed, chains=n)
    k = streams.choice("basin", shares)
    r = CENTRES[k] + WIDTHS[k] * streams.normal("distance")
    angle = 2 * math.pi * streams.uniform("angle")
    half = 0.5 * r[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return torch.stack([half, -half], dim=1)


def true_score(x: Tensor, sigma: float) -> Tensor:
    """Under noise of σ on every coordinate, and so of √2 σ on the difference of the particles."""
    r, square = torch.linspace(0.5, 3.6, 800).double(), 2 * sigma**2
    y = distance(x)[:, None]
    weight = log_radial(r) - (y - r) ** 2 / (2 * square) + torch.special.i0e(r * y / square).log()
    turned = r * torch.special.i1e(r * y / square) / torch.special.i0e(r * y / square)
    slope = (weight.softmax(dim=1) * (turned - y)).sum(dim=1) / square
    ahead = (x[:, 0] - x[:, 1]) * (slope / y[:, 0])[:, None]
    return torch.stack([ahead, -ahead], dim=1)


def frames(x: Tensor) -> ScoreBatch:
    """With their forces, in units of kT."""
    forces = LAW.evaluate(x).gradient
    pairs = zip(x, forces, strict=True)
    return ScoreBatch.collate([ScoreFrame(PAIR, *pair) for pair in pairs], dtype=torch.float32)


# %% [markdown]
# ## 2. Three targets with one mean
#
# Data x₀ are noised to x = x₀ + σe. Two numbers have the score as their mean, given x: the way back to
# the data, −e/σ, which *denoising* score matching fits, and the force at x₀. So has any mixture of
# them. Without noise the force *is* the score, while −e/σ grows beyond bounds; under much noise the
# force is as large as ever while the score fades. The paper goes from one to the other at a threshold
# (*piecewise*); `smooth` mixes them by 1/(1 + σ²B), B the mean square of the force, which gives
# the least variance. Of 1500 exact draws:

# %%
exact = draw(1500, [0.5, 0.5], seed=1)
known = frames(exact)
stiffness = stiffness_of(known)
levels = torch.logspace(-2.3, 0.7, 16).tolist()
RULES = ("denoising", "piecewise", "smooth")
noise = SPACE.normal(Streams.of(seed=2, chains=len(exact)), "noise")
noised = [exact + sigma * noise for sigma in levels]
scores = [true_score(x, sigma) for x, sigma in zip(noised, levels, strict=True)]


def mean_square(vectors: Tensor) -> float:
    """For each degree of freedom, of which a pair has two."""
    return float(vectors.square().sum(dim=(1, 2)).mean()) / 2


def variance(rule: str, k: int) -> float:
    """Of the target about the true score."""
    sigma = torch.full((2 * len(exact),), levels[k])
    e = noise.float().flatten(0, 1)
    target = Mixing(rule, stiffness).target(e, known.forces[:, :2], sigma, known.numbers)
    return mean_square(target.reshape(exact.shape) - scores[k])


spreads = {rule: [variance(rule, k) for k in range(len(levels))] for rule in RULES}

# %% [markdown]
# The same small network learns from each of the three, for the same 400 steps on the same 400
# frames. What counts is how far its score is from the true one, at draws that it has not seen.


# %%
def train(rule: str, data: ScoreBatch, steps: int = 400) -> ScoreModel:
    spread = float(data.x.square().sum() / data.degrees.sum())
    stiffness = stiffness_of(data)
    torch.manual_seed(0)
    model = ScoreModel(
        ScoreModelConfig(
            stiffness=stiffness, spread=spread, low=0.005, high=5.0, channels=32, vectors=8, layers=2,
            cutoff=60.0, n_radial=32, decay=1.5,
        )
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    optimiser = Muon(model.parameters(), lr=0.01)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=2e-4)
    for _ in range(steps):
        loss, _ = objective(model, data, Mixing(rule, stiffness), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
    return model.eval()


@torch.no_grad()
def error(model: ScoreModel, k: int) -> float:
    """Mean square, relative to that of the score."""
    batch = ScoreBatch.of(PAIR, noised[k].float())
    found = model(batch, batch.x, torch.full((len(exact),), levels[k]))[:, :2]
    return mean_square(found.reshape(exact.shape) - scores[k]) / mean_square(scores[k])


few = frames(draw(400, [0.5, 0.5], seed=3))
models = {rule: train(rule, few) for rule in RULES}
errors = {rule: [error(model, k) for k in range(len(levels))] for rule, model in models.items()}

with styled():
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for rule, colour, line in zip(RULES, PALETTE, (":", "--", "-"), strict=False):
        left.loglog(levels, spreads[rule], line, color=colour, label=rule)
        right.loglog(levels, errors[rule], line, color=colour, label=rule)
    left.loglog(
        levels, [mean_square(score) for score in scores], color=GREY, label="the score itself"
    )
    left.set(title="variance of the target", xlabel="noise σ", ylabel="mean square")
    right.set(title="error of the network", xlabel="noise σ", ylabel="mean square, relative")
    left.legend()
display(Image(png(figure)))

# %% [markdown]
# Where noise is much less than the width of a basin, a network that was shown no forces has five to
# twenty times the error; where it spans both basins, forces have nothing to say and all three are one.
# Between them, at the width of the stiff basin, the target of the threshold has twice the variance that
# the mixture has.
#
# ## 3. Data with wrong shares
#
# Now the data have the right basins, but nine of ten are in contact: a simulation that seldom crossed.
# Forces keep the shape of both basins right, and cannot know that they are equally populated: under noise
# that spans both basins, what is averaged are the data. So samples have the shares of the data.
#
# Each sample carries the weight of its path, which costs one energy: noise to sample as the network
# goes, against sample to noise. With it means are right whatever the network has learnt, and the mean
# weight is the integral Z, here π.

# %%
biased = draw(400, [0.9, 0.1], seed=4)
model = train("smooth", frames(biased))
generator = ScoreGenerator.piloted(model, PAIR, steps=40, seed=5)
paths = generator.draw(Streams.of(seed=6, chains=6000))
log_weights = paths.log_weights(LAW)

r, weights = distance(paths.x), log_weights.softmax(dim=0)
apart = (r > 1.4).double()
corrected = expectation(apart, log_weights)
rows = [
    ("exact", "50 %"),
    ("data", f"{100 * float((distance(biased) > 1.4).double().mean()):.0f} %"),
    ("samples of the network", f"{100 * float(apart.mean()):.0f} %"),
    ("with weights", f"{100 * float(corrected.value):.0f} ± {100 * float(corrected.error):.0f} %"),
]
table(["", "apart"], rows)
print(f"6000 paths are worth {float(kish(log_weights)):.0f} independent draws")
print(f"Z = {float(log_weights.exp().mean()):.2f}, exactly {math.pi:.2f}")

with styled():
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    grid = torch.linspace(0.7, 3.2, 500).double()
    shown = [("samples of the network", None), ("with the weights of their paths", weights)]
    for ax, (title, weight) in zip(axes, shown, strict=True):
        ax.hist(r, bins=50, range=(0.7, 3.2), density=True, weights=weight, color=PALETTE[4])
        ax.plot(grid, log_radial(grid).exp(), color=BLACK, label="exact")
        ax.set(title=title, xlabel="distance")
    axes[0].set_ylabel("probability density")
    axes[0].legend()
display(Image(png(figure)))

# %% [markdown]
# The weights tell two more things. Their spread is the distance between the network and the law, so that
# a bad model is seen to be bad. And noise put on samples from elsewhere leads to the same weights
# backwards (`ScoreGenerator.retrace`), which finds out about basins that the network never goes to.
