"""PySCF's mean-field objects open a temporary checkpoint each and never close it: mute them."""

from __future__ import annotations

from pyscf.scf import hf

hf.MUTE_CHKFILE = True
