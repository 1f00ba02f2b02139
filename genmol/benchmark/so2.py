"""What a convolution costs in edge frames, and with Clebsch-Gordan products, as degrees grow.

Both layers map the features of one end of every edge linearly to messages, with weights shared by
all edges and natural parity: ours turns them into the frame, mixes order by order, and turns them
back (:mod:`genmol.algebra.so2`); e3nn's couples them with the harmonics of the edge. The harmonics
end at l_max, as usual; the layer in frames has the paths of those up to 2·l_max as well. Frames are
made once for all layers of a network and are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genmol.algebra.so2 import EdgeFrames, O2Linear, entering_channels
from genmol.algebra.so3 import dimension

__all__ = ["LayerCost", "growth", "layer_costs"]


@dataclass(frozen=True)
class LayerCost:
    """Seconds of one forward pass.

    Attributes:
        l_max: highest degree.
        seconds_so2: of the layer in edge frames.
        seconds_cg: of e3nn's fully connected tensor product.
    """

    l_max: int
    seconds_so2: float
    seconds_cg: float

    @property
    def ratio(self) -> float:
        """How many times as long the tensor product takes."""
        return self.seconds_cg / self.seconds_so2


def layer_costs(
    degrees: Sequence[int] = (1, 2, 3, 4, 5, 6),
    *,
    channels: int = 16,
    n_edges: int = 256,
    repeats: int = 7,
    device: torch.device | str = "cpu",
) -> list[LayerCost]:
    """One row for each highest degree, float32, with as many threads as torch has."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(n_edges, 3, generator=generator).to(device)
    rows = []
    for l_max in degrees:
        x = torch.randn(n_edges, dimension(l_max), channels, generator=generator).to(device)
        rows.append(
            LayerCost(
                l_max,
                _seconds(_in_frames(x, vectors, l_max), repeats),
                _seconds(_with_products(x, vectors, l_max), repeats),
            )
        )
    return rows


def growth(rows: Sequence[LayerCost]) -> tuple[float, float]:
    """Exponents p of cost ~ (l_max + 1)^p, in frames and with products, by least squares."""
    size = np.log([row.l_max + 1 for row in rows])
    seconds = np.log([[row.seconds_so2, row.seconds_cg] for row in rows])
    frames, products = np.polyfit(size, seconds, 1)[0]
    return float(frames), float(products)


def _in_frames(x: Tensor, vectors: Tensor, l_max: int) -> Callable[[], object]:
    channels = x.shape[2]
    frames = EdgeFrames.of(vectors, l_max)
    width = entering_channels(l_max, channels, 0)
    linear, nothing = O2Linear(width, width).to(x), x[..., :0]
    return lambda: frames.leave(linear(frames.enter(x, nothing)), channels, 0)


def _with_products(x: Tensor, vectors: Tensor, l_max: int) -> Callable[[], object]:
    from e3nn import o3  # two seconds

    channels = x.shape[2]
    irreps = o3.Irreps([(channels, (l, (-1) ** l)) for l in range(l_max + 1)])
    harmonics = o3.Irreps.spherical_harmonics(l_max)
    product = o3.FullyConnectedTensorProduct(irreps, harmonics, irreps).to(x)
    flat = torch.cat([x[:, l * l : (l + 1) ** 2].mT.flatten(1) for l in range(l_max + 1)], dim=1)
    y = o3.spherical_harmonics(harmonics, vectors, normalize=True)
    return lambda: product(flat, y)


@torch.no_grad()
def _seconds(run: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs, after two to warm up."""
    times = []
    for _ in range(repeats + 2):
        _wait()
        began = time.perf_counter()
        run()
        _wait()
        times.append(time.perf_counter() - began)
    return min(times[2:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
