r"""Grassmann extrapolation: the density at a new geometry from those already solved.

The occupied orbitals of frame *i* are first carried to the new geometry, whose overlap matrix is
:math:`S = LL^T`: their coefficients turn with the molecule (:math:`U_i`, from the rotation that
best superposes the two geometries) and are made orthonormal again,
:math:`\Gamma_i = L^T\,\mathrm{orth}_S(U_i C_i)`. The span of :math:`\Gamma_i` is a point on the
Grassmann manifold, a curved space in which densities may not simply be averaged. The logarithm at a
base point :math:`\Gamma_0` maps frames to the flat tangent space, the exponential maps back:

.. math::
    \Gamma_i(\Gamma_0^T\Gamma_i)^{-1} - \Gamma_0 = A \tan(\Theta) B^T, \qquad
    \log_{\Gamma_0}\Gamma_i = A \Theta B^T, \qquad
    \exp_{\Gamma_0}(A\Theta B^T) = \Gamma_0 B\cos(\Theta)B^T + A\sin(\Theta)B^T .

In the tangent space the frames are combined as their geometries combine to the new one. With
:math:`x_i` the displacements of frame *i* from the base, superposed on the new geometry, and
*x* those of the new geometry,

.. math::
    \min_c \Bigl\|x - \sum_i c_i x_i\Bigr\|^2 + \varepsilon^2 \sum_i c_i^2 \|x_i\|^4, \qquad
    \Gamma = \exp_{\Gamma_0}\Bigl(\sum_i c_i \log_{\Gamma_0}\Gamma_i\Bigr), \qquad
    D = L^{-T}\,\Gamma\Gamma^T L^{-1} .

The first term is the displacement left unexplained, the second the error of a frame's linear
response, which is of second order in its distance: far frames are used sparingly. *D* is
idempotent and has :math:`\operatorname{tr} DS = N` by construction. A single frame is carried.

Reference: Polack, Dusson, Stamm and Lipparini, "Grassmann extrapolation of density matrices for
Born-Oppenheimer molecular dynamics", J. Chem. Theory Comput. 17, 6965 (2021). Differences, each
measured on ethanol: they carry frames by Löwdin's :math:`S^{-1/2}S_i^{1/2}` (errors 2.3 times
larger) and weigh them alike; their frames are the last ones and their base point is fixed, ours are
the nearest, because frames need not be steps of one trajectory. The quasi-time-reversible variant
(Pes et al., 2023) serves loosely converged dynamics; genmol converges every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import gto
from scipy.linalg import solve_triangular

from genmol.core.errors import InputError
from genmol.core.units import BOHR_TO_ANGSTROM
from genmol.qc.natural import SpinOrbitals, assemble, from_mo, orthonormalise

__all__ = ["GrassmannExtrapolator", "alignment", "grassmann_exp", "grassmann_log", "turned_orbitals"]

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


def alignment(positions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rotation R (3, 3) that turns centred ``positions`` (n_atoms, 3) best onto ``reference``.

    Kabsch (1976). Where it is undetermined, as about a linear molecule's axis, the smallest turn.
    """
    h = _centred(reference).T @ _centred(positions)
    u, _, vt = np.linalg.svd(h + (1e-6 * np.linalg.norm(h) + 1e-12) * np.eye(3))
    return np.asarray((u * [1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt)


def turned_orbitals(mol: gto.Mole, rotation: np.ndarray) -> np.ndarray:
    """U (nao, nao): coefficients C become U C when the molecule is turned by R.

    PySCF's matrix turns the other way than its docstring says; its inverse is right for spherical
    and for Cartesian orbitals, whose matrix is not orthogonal.
    """
    return np.asarray(np.linalg.inv(gto.mole.ao_rotation_matrix(mol, rotation)))


def _centred(positions: np.ndarray) -> np.ndarray:
    return np.asarray(positions - positions.mean(axis=0))


@dataclass(frozen=True)
class _Frame:
    positions: np.ndarray  # (n_atoms, 3), Bohr, centred
    occupied: tuple[np.ndarray, ...]  # coefficients (nao, n), one array or one per spin

    def seen_from(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotation onto other centred positions, and what remains as displacements, flattened."""
        rotation = alignment(self.positions, positions)
        return rotation, (self.positions @ rotation.T - positions).ravel()


class GrassmannExtrapolator:
    """Predicts densities of one molecule from the frames added so far.

    Args:
        memory: frames combined in a prediction, the nearest to the new geometry.
        regularisation: ε, Bohr⁻¹: the relative error of linear response at one Bohr.
        capacity: frames kept; the oldest is dropped first.
        reach: root mean square displacement of the atoms (Å) from the nearest frame beyond which
            no prediction is made. Measured on ethanol: there ``|g|`` comes near that of superposed
            atoms after one diagonalisation.
    """

    def __init__(
        self,
        *,
        memory: int = 12,
        regularisation: float = 0.1,
        capacity: int = 200,
        reach: float = 0.1,
    ) -> None:
        self.memory, self.regularisation = memory, regularisation
        self.capacity, self.reach = capacity, reach
        self._frames: list[_Frame] = []
        self._kind: tuple[list[str], int] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, mf: Any) -> None:
        """Learn from a converged PySCF mean-field object."""
        self._check(mf.mol)
        alpha, beta = from_mo(mf.mo_coeff, mf.mo_occ)
        spins = (alpha,) if alpha is beta else (alpha, beta)
        occupied = tuple(o.coeff[:, o.occ > 0.5] for o in spins)
        frame = _Frame(_centred(mf.mol.atom_coords()), occupied)
        self._frames = [*self._frames, frame][-self.capacity :]

    def predict(self, mf: Any) -> np.ndarray | None:
        """The density at the geometry of ``mf`` (not converged); None without a frame in reach."""
        self._check(mf.mol)
        positions = _centred(mf.mol.atom_coords())
        seen = [(f, *f.seen_from(positions)) for f in self._frames]
        seen = sorted(seen, key=lambda s: float(np.linalg.norm(s[2])))[: self.memory]
        reach = self.reach / BOHR_TO_ANGSTROM * len(positions) ** 0.5
        if not seen or np.linalg.norm(seen[0][2]) > reach:
            return None
        overlap = mf.get_ovlp()
        root = np.linalg.cholesky(overlap).T
        points = [
            [root @ orthonormalise(turn @ c, overlap) for c in frame.occupied]
            for frame, turn in (
                (f, turned_orbitals(mf.mol, rotation)) for f, rotation, _ in seen
            )
        ]
        base = points[0]
        others = [i for i in range(1, len(seen)) if _same_state(base, points[i])]
        x_0 = seen[0][2]
        c = self._coefficients(-x_0, [seen[i][2] - x_0 for i in others])
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


def _same_state(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether two frames have as many orbitals in each spin and none of them orthogonal."""
    return len(a) == len(b) and all(
        x.shape == y.shape
        and np.linalg.svd(x.T @ y, compute_uv=False).min(initial=1.0) > _SAME_STATE
        for x, y in zip(a, b, strict=True)
    )
