r"""How well chains have mixed, and how many independent draws they are worth.

For M chains of N draws of a quantity with variance σ² and autocorrelations :math:`\rho_t`, the mean
has the variance :math:`\sigma^2\tau/(MN)`, :math:`\tau = 1 + 2\sum_{t\ge1}\rho_t`, so the draws are
worth :math:`\mathrm{ESS} = MN/\tau` independent ones. With W the mean variance within a chain, B/N
the variance of the chains' means, and :math:`\hat V = \frac{N-1}{N}W + \frac BN`,

.. math::
    \hat R = \sqrt{\hat V / W}, \qquad
    \hat\rho_t = 1 - \frac{W - \frac1M\sum_m \hat C_{m,t}}{\hat V},

where :math:`\hat C_{m,t}` is the autocovariance of chain m: chains that have not met have a large B,
and with it large correlations. The sum over t ends where a pair :math:`\hat P_j = \hat\rho_{2j} +
\hat\rho_{2j+1}` is no longer positive, and the pairs before are made to decrease (Geyer, 1992).

As Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021) advise, every chain is cut in two halves,
so that a drift shows; :func:`rhat` and :func:`ess_bulk` replace values by the normal scores of their
ranks, so that infinite variances do no harm; :func:`rhat` is the larger one of the ranks of x and of
its distances from the median; :func:`ess_tail` is the smaller one at the 5 % and 95 % quantiles.

A quantity that never changed says nothing about mixing: it has R-hat ∞, an ESS of 0 and an error of
∞, so that no threshold lets it pass. Leave out what is constant by its nature. Values that are not
finite are refused.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["autocorrelation_time", "ess_bulk", "ess_mean", "ess_tail", "mcse_mean", "rhat"]


def rhat(x: Float[Tensor, "chains draws *k"]) -> Float[Tensor, "*k"]:
    """Rank-normalised split R-hat; near 1, at most 1.01, where chains agree.

    Args:
        x: k quantities along the chains; a single chain is compared with itself.
    """
    halves = _halves(_series(x))
    bulk = _ratio(_normal_scores(halves))
    folded = (halves - _quantile(halves, 0.5)).abs()
    # of two values at equal distance from the median, only the ranks speak
    tail = torch.where(_constant(folded), bulk, _ratio(_normal_scores(folded)))
    found = torch.where(_constant(halves), torch.inf, torch.maximum(bulk, tail))
    return found.reshape(x.shape[2:])


def ess_bulk(x: Float[Tensor, "chains draws *k"]) -> Float[Tensor, "*k"]:
    """Effective sample size of the normal scores: how well the bulk of the law is known.

    Args:
        x: k quantities along the chains.
    """
    return _ess(_normal_scores(_halves(_series(x)))).reshape(x.shape[2:])


def ess_tail(
    x: Float[Tensor, "chains draws *k"], *, probabilities: tuple[float, ...] = (0.05, 0.95)
) -> Float[Tensor, "*k"]:
    """The least effective sample size of the shares below some quantiles.

    Where all values are at most the quantile, which happens to discrete quantities, the share that
    lies strictly below it is taken: a state seen rarely has the tail of its visits.

    Args:
        x: k quantities along the chains.
        probabilities: of the quantiles.
    """
    series = _series(x)
    found = []
    for probability in probabilities:
        cut = _quantile(series, probability)
        below = series <= cut
        below = torch.where(below.all(dim=2, keepdim=True).all(1, True), series < cut, below)
        found.append(_ess(_halves(below.to(series.dtype))))
    return torch.stack(found).amin(dim=0).reshape(x.shape[2:])


def ess_mean(x: Float[Tensor, "chains draws *k"]) -> Float[Tensor, "*k"]:
    """Effective sample size of the mean; for quantities of finite variance.

    Args:
        x: k quantities along the chains.
    """
    return _ess(_halves(_series(x))).reshape(x.shape[2:])


def mcse_mean(x: Float[Tensor, "chains draws *k"]) -> Float[Tensor, "*k"]:
    """Standard error of the mean over all draws: standard deviation over √ESS.

    Args:
        x: k quantities along the chains.
    """
    series = _series(x)
    error = series.flatten(1).std(dim=1) / _ess(_halves(series)).sqrt()
    return torch.where(_constant(series), torch.inf, error).reshape(x.shape[2:])


def autocorrelation_time(
    x: Float[Tensor, "chains draws *k"], *, window: float = 5.0
) -> Float[Tensor, "*k"]:
    r"""τ = 1 + 2 Σ ρ_t over t ≤ T, with the first T ≥ ``window`` · τ(T) (Sokal, 1989).

    Correlations are of deviations from the mean of all chains, so chains that stay in different
    places have long ones. Where half a chain is too short for its window, and where nothing
    moves, τ is ∞. It is at least 1/log₁₀(chains · draws); for chains that swing from side to side
    (ρ₁ < 0) see :func:`ess_mean`.

    Args:
        x: k quantities along the chains.
        window: how many τ to sum over.
    """
    series = _series(x)
    count, draws = series.shape[1] * series.shape[2], series.shape[2]
    centred = series - series.mean(dim=(1, 2), keepdim=True)
    covariance = _autocovariance(centred).mean(dim=1)[:, : draws // 2 + 1]
    lags = torch.arange(covariance.shape[1], device=x.device)
    covariance = covariance * (draws / (draws - lags))  # as many products as there are pairs
    times = 2 * (covariance / covariance[:, :1]).cumsum(dim=1) - 1
    enough = lags >= window * times
    found = times.gather(1, enough.long().argmax(dim=1, keepdim=True))[:, 0]
    found = found.clamp_min(1 / math.log10(count))
    never = ~enough.any(dim=1) | _constant(series)
    return torch.where(never, torch.inf, found).reshape(x.shape[2:])


def _series(x: Tensor) -> Tensor:
    """Quantities first, (k, chains, draws), float64."""
    if x.shape[1] < 4:
        raise ValueError(f"got chains of {x.shape[1]} draws; wanted at least 4: run them longer")
    if not x.isfinite().all():
        bad = int((~x.isfinite()).sum())
        raise ValueError(
            f"got {bad} values of {x.numel()} that are not finite; wanted numbers: a quantity that "
            "can be infinite needs a bounded function of it"
        )
    return x.double().flatten(2).movedim(2, 0) if x.ndim > 2 else x.double()[None]


def _halves(series: Tensor) -> Tensor:
    """Each chain as two; the middle draw of an odd number is left out."""
    half = series.shape[2] // 2
    return torch.cat([series[:, :, :half], series[:, :, -half:]], dim=1)


def _constant(series: Tensor) -> Tensor:
    flat = series.flatten(1)
    return flat.amax(dim=1) == flat.amin(dim=1)


def _quantile(series: Tensor, probability: float) -> Tensor:
    """Of all draws of all chains, linear between them; (k, 1, 1)."""
    ordered = series.flatten(1).sort(dim=1).values
    place = probability * (ordered.shape[1] - 1)
    low, high = ordered[:, math.floor(place)], ordered[:, math.ceil(place)]
    return torch.lerp(low, high, place - math.floor(place))[:, None, None]


def _normal_scores(series: Tensor) -> Tensor:
    """Φ⁻¹((rank − 3/8)/(n + 1/4)), ranks over all chains, equal values sharing theirs."""
    flat = series.flatten(1).contiguous()
    ordered = flat.sort(dim=1).values
    first = torch.searchsorted(ordered, flat)
    last = torch.searchsorted(ordered, flat, right=True)
    rank = (first + last + 1).double() / 2
    return torch.special.ndtri((rank - 0.375) / (flat.shape[1] + 0.25)).reshape(series.shape)


def _ratio(series: Tensor) -> Tensor:
    """√(V/W) of (k, chains, draws)."""
    draws = series.shape[2]
    within = series.var(dim=2).mean(dim=1)
    between = series.mean(dim=2).var(dim=1)
    return (between / within + (draws - 1) / draws).sqrt()


def _autocovariance(centred: Tensor) -> Tensor:
    """(1/N) Σ x_s x_{s+t} for t = 0 ... N − 1, by fast Fourier transform."""
    draws = centred.shape[-1]
    size = 1 << (2 * draws - 1).bit_length()  # room against wrapping around
    spectrum = torch.fft.rfft(centred, n=size)
    return torch.fft.irfft(spectrum.abs().square(), n=size)[..., :draws] / draws


def _ess(series: Tensor) -> Tensor:
    """Of (k, chains, draws), without further splitting."""
    _, chains, draws = series.shape
    covariance = _autocovariance(series - series.mean(dim=2, keepdim=True)).mean(dim=1)
    within = covariance[:, :1] * (draws / (draws - 1))
    total = covariance[:, :1]
    if chains > 1:
        total = total + series.mean(dim=2).var(dim=1)[:, None]
    rho = 1 - (within - covariance) / total
    rho[:, 0] = 1.0
    count = max((draws - 3) // 2, 0) + 1
    even = rho[:, : 2 * count : 2]
    pairs = even + rho[:, 1 : 2 * count : 2]
    positive = (pairs > 0).long().cumprod(dim=1)
    end = positive.sum(dim=1, keepdim=True).clamp_max(count - 1)  # the pair that closes the sum
    kept = torch.arange(count, device=series.device) < end
    pairs = pairs.cummin(dim=1).values
    # of the closing pair its first half is taken, which is sharper for swinging chains
    closing = even.gather(1, end).clamp_min(0)[:, 0]
    tau = -1 + 2 * torch.where(kept, pairs, 0.0).sum(dim=1) + closing
    size = chains * draws
    found = size / tau.clamp_min(1 / math.log10(size))
    return torch.where(_constant(series), 0.0, found)
