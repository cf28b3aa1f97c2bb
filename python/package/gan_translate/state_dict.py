"""Weight files of PyTorch as arrays, without PyTorch."""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt

from ._native import read_weights


class StateDict(dict[str, "npt.NDArray[Any]"]):
    """Arrays by the names of the file, in its order."""

    opaque: dict[str, str]
    """What the state dict holds beside plain tensors (quantized and sparse tensors, arrays of NumPy), in words. Nothing of it is built."""
    notes: list[str]
    """Where the state dict was found in the file, and what was left out."""


def read_pth(path: str | os.PathLike[str], entry: str | None = None) -> StateDict:
    """Reads the state dict of a ``.pth`` or ``.safetensors`` file. A ``.pth`` file is a pickle, which is a program; nothing of it is executed.

    ``entry`` names one of several networks of a file: ``"netG"``, or ``"models.generator"`` for a dict in a dict.

    bfloat16, which NumPy lacks, becomes float32. Names are as they stand in the file.

    Raises :class:`NotFound`, and :class:`InvalidInput` for a file that is damaged, hostile, of another kind, or holds several networks.
    """
    arrays, opaque, notes = read_weights(path, entry)
    state = StateDict(arrays)
    state.opaque, state.notes = opaque, notes
    return state
