r"""Grassmann extrapolation: the density at a new geometry from those already solved.

The occupied orbitals of frame *i* are first carried to the new geometry, whose overlap matrix is
:math:`S = LL^T`: the coefficients on each atom turn with its neighbourhood (:math:`U_i`) and all are
made orthonormal again, :math:`\Gamma_i = L^T\,\mathrm{orth}_S(U_i C_i)`. The span of
:math:`\Gamma_i` is a point on the Grassmann manifold, a curved space in which densities may not
simply be averaged. The logarithm at a base point :math:`\Gamma_0` maps frames to the flat tangent
space, the exponential maps back:

.. math::
    \Gamma_i(\Gamma_0^T\Gamma_i)^{-1} - \Gamma_0 = A \tan(\Theta) B^T, \qquad
    \log_{\Gamma_0}\Gamma_i = A \Theta B^T, \qquad
    \exp_{\Gamma_0}(A\Theta B^T) = \Gamma_0 B\cos(\Theta)B^T + A\sin(\Theta)B^T .

In the tangent space the frames are combined as their geometries combine to the new one. With
:math:`x_i = d_i - d_0` and :math:`x = d - d_0`, where *d* are the inverse distances of all pairs of
atoms,

.. math::
    \min_c \Bigl\|x - \sum_i c_i x_i\Bigr\|^2 + \varepsilon^2 \sum_i c_i^2 \|x_i\|^4, \qquad
    \Gamma = \exp_{\Gamma_0}\Bigl(\sum_i c_i \log_{\Gamma_0}\Gamma_i\Bigr), \qquad
    D = L^{-T}\,\Gamma\Gamma^T L^{-1} .

The first term is the change of geometry left unexplained, the second the error of a frame's linear
response, which is of second order in its distance: far frames are used sparingly. *D* is
idempotent and has :math:`\operatorname{tr} DS = N` by construction. A single frame is carried.

Reference: Polack, Dusson, Stamm and Lipparini, "Grassmann extrapolation of density matrices for
Born-Oppenheimer molecular dynamics", J. Chem. Theory Comput. 17, 6965 (2021). Differences, measured
on ethanol: they carry frames by Löwdin's :math:`S^{-1/2}S_i^{1/2}`, which leaves 2 to 5 times larger
errors than coefficients that turn with their atoms; they weigh frames alike; and they use the last
frames, we the nearest, because frames need not be steps of one trajectory. The
quasi-time-reversible variant (Pes et al., 2023) serves loosely converged dynamics; genmol converges
every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import gto
from scipy.linalg import solve_triangular

from genmol.core.errors import InputError
from genmol.qc.natural import SpinOrbitals, assemble, from_mo, orthonormalise

__all__ = [
    "GrassmannExtrapolator",
    "grassmann_exp",
    "grassmann_log",
    "local_rotations",
    "turned_orbitals",
]

_NEIGHBOURHOOD = 2.0  # Bohr, the width of an atom's Gaussian neighbourhood
_SAME_STATE = 0.3  # smallest cosine between the occupied spaces of frames in one electronic state


def grassmann_log(base: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Tangent at ``base`` that leads to the span of ``point``; all (n, k), orthonormal columns."""
    overlap = base.T @ point
    a, tangent, bt = np.linalg.svd(
        np.linalg.solve(overlap.T, (point - base @ overlap).T).T, full_matrices=False
    )
    return np.asarray((a * np.arctan(tangent)) @ bt)


def grassmann_exp(base: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """The point (n, k), orthonormal columns, that the geodesic along ``tangent`` reaches."""
    a, theta, bt = np.linalg.svd(tangent, full_matrices=False)
    return np.asarray((base @ bt.T * np.cos(theta) + a * np.sin(theta)) @ bt)


def local_rotations(positions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rotations (n_atoms, 3, 3) that turn each atom's neighbourhood onto that of ``reference``.

    Kabsch's superposition (1976) of both geometries (n_atoms, 3), Bohr, with Gaussian weights about
    each atom. Directions in which the neighbours leave it undetermined, such as about the axis of a
    bond, turn with the whole molecule, and those of a linear molecule as little as possible.
    """
    n_atoms = len(positions)
    whole = _kabsch(_covariance(positions, reference, np.ones((1, n_atoms))), np.eye(3), 1e-6)
    distance = np.linalg.norm(reference[:, None] - reference, axis=2)
    weight = np.exp(-((distance / _NEIGHBOURHOOD) ** 2))
    return _kabsch(_covariance(positions, reference, weight), whole, 1e-2)


def _covariance(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted covariances of y with x, (n, 3, 3) for weights (n, n_atoms)."""
    w = weight / weight.sum(axis=1, keepdims=True)
    return np.einsum("na,ai,aj->nij", w, y, x) - np.einsum("ni,nj->nij", w @ y, w @ x)


def _kabsch(covariance: np.ndarray, default: np.ndarray, share: float) -> np.ndarray:
    """The proper rotations nearest to ``covariance``, with a ``share`` of the default mixed in."""
    size = np.linalg.norm(covariance, axis=(1, 2), keepdims=True)
    u, _, vt = np.linalg.svd(covariance + (share * size + 1e-12) * default)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.asarray(u @ vt)


def turned_orbitals(mol: gto.Mole, rotations: np.ndarray) -> np.ndarray:
    """U (nao, nao): coefficients C become U C when atom *a* is turned by ``rotations[a]``.

    With the angular functions Y of a shell at a few points x, Y(Rᵀx) = Y(x) U.
    """
    turned: dict[int, np.ndarray] = {}
    u, start = np.zeros((mol.nao, mol.nao)), 0
    for b in range(mol.nbas):
        n = mol.bas_angular(b)
        if n not in turned:
            turned[n] = _turned_shell(n, mol.cart, rotations)
        block = turned[n][mol.bas_atom(b)]
        for _ in range(mol.bas_nctr(b)):
            stop = start + len(block)
            u[start:stop, start:stop] = block
            start = stop
    return u


def _turned_shell(n: int, cartesian: bool, rotations: np.ndarray) -> np.ndarray:
    """Blocks (n_atoms, d, d) of U for the angular momentum n."""
    points = np.random.default_rng(0).normal(size=((n + 1) * (n + 2), 3))
    to_shell = np.eye(len(points) // 2) if cartesian else gto.cart2sph(n)

    def y(x: np.ndarray) -> np.ndarray:
        powers = [(i, j, n - i - j) for i in range(n, -1, -1) for j in range(n - i, -1, -1)]
        return np.stack([np.prod(x**p, axis=-1) for p in powers], axis=-1) @ to_shell

    return np.asarray(np.linalg.pinv(y(points)) @ y(points @ rotations))


@dataclass(frozen=True)
class _Frame:
    positions: np.ndarray  # (n_atoms, 3), Bohr
    descriptor: np.ndarray
    occupied: tuple[np.ndarray, ...]  # coefficients (nao, n), one array or one per spin


class GrassmannExtrapolator:
    """Predicts densities of one molecule from the frames added so far.

    Args:
        memory: frames combined in a prediction, the nearest to the new geometry.
        regularisation: ε, Bohr: the relative error of linear response where the inverse distances
            have changed by one inverse Bohr.
        capacity: frames kept; the oldest is dropped first.
    """

    def __init__(
        self, *, memory: int = 12, regularisation: float = 1.0, capacity: int = 200
    ) -> None:
        self.memory, self.regularisation, self.capacity = memory, regularisation, capacity
        self._frames: list[_Frame] = []
        self._kind: tuple[list[str], int] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, mf: Any) -> None:
        """Learn from a converged PySCF mean-field object."""
        self._check(mf.mol)
        alpha, beta = from_mo(mf.mo_coeff, mf.mo_occ)
        spins = (alpha,) if alpha is beta else (alpha, beta)
        positions = mf.mol.atom_coords()
        occupied = tuple(o.coeff[:, o.occ > 0.5] for o in spins)
        frame = _Frame(positions, _descriptor(positions), occupied)
        self._frames = [*self._frames, frame][-self.capacity :]

    def predict(self, mf: Any) -> np.ndarray | None:
        """The density at the geometry of ``mf`` (not converged); None before the first frame."""
        self._check(mf.mol)
        if not self._frames:
            return None
        positions = mf.mol.atom_coords()
        d = _descriptor(positions)
        frames = sorted(self._frames, key=lambda f: float(np.linalg.norm(f.descriptor - d)))
        frames = frames[: self.memory]
        overlap = mf.get_ovlp()
        root = np.linalg.cholesky(overlap).T
        points = []
        for frame in frames:
            turn = turned_orbitals(mf.mol, local_rotations(frame.positions, positions))
            points.append([root @ orthonormalise(turn @ c, overlap) for c in frame.occupied])
        base, d_0 = points[0], frames[0].descriptor
        others = [i for i in range(1, len(frames)) if _same_state(base, points[i])]
        c = self._coefficients(d - d_0, [frames[i].descriptor - d_0 for i in others])
        orbitals = []
        for spin, gamma in enumerate(base):
            tangent = np.zeros_like(gamma)
            for c_i, i in zip(c, others, strict=True):
                tangent += c_i * grassmann_log(gamma, points[i][spin])
            coeff = solve_triangular(root, grassmann_exp(gamma, tangent))
            orbitals.append(SpinOrbitals(coeff, np.ones(coeff.shape[1]), by_energy=True))
        return assemble(mf, (orbitals[0], orbitals[-1]))

    def _coefficients(self, x: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
        if not others:
            return np.zeros(0)
        a = np.array(others)
        penalty = self.regularisation * np.sum(a**2, axis=1)
        rows, target = np.vstack([a.T, np.diag(penalty)]), np.append(x, np.zeros(len(a)))
        return np.asarray(np.linalg.lstsq(rows, target, rcond=None)[0])

    def _check(self, mol: gto.Mole) -> None:
        kind = (list(mol.elements), int(mol.nao))
        if self._kind is None:
            self._kind = kind
        elif kind != self._kind:
            raise InputError(
                got=f"a frame of {' '.join(kind[0])} with {kind[1]} orbitals",
                wanted=f"the first frame's {' '.join(self._kind[0])} with {self._kind[1]} orbitals",
                remedy="use one extrapolator for each molecule and basis set",
            )


def _descriptor(positions: np.ndarray) -> np.ndarray:
    """Inverse distances of all pairs, Bohr⁻¹: unchanged when the molecule moves or turns."""
    i, j = np.triu_indices(len(positions), 1)
    return np.asarray(1.0 / np.linalg.norm(positions[i] - positions[j], axis=1))


def _same_state(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether two frames have as many orbitals in each spin and none of them orthogonal."""
    return len(a) == len(b) and all(
        x.shape == y.shape
        and np.linalg.svd(x.T @ y, compute_uv=False).min(initial=1.0) > _SAME_STATE
        for x, y in zip(a, b, strict=True)
    )
