"""Trained GAN image-to-image translation models (pix2pix, pix2pixHD, CycleGAN, CUT) on NumPy arrays, without PyTorch.

>>> import numpy as np
>>> from PIL import Image
>>> from gan_translate import Model
>>> model = Model.open("runs/photos")
>>> Image.fromarray(model(np.asarray(Image.open("drawing.png")))).save("photo.png")
"""

from ._native import Model, __version__, evaluate
from .errors import Error, InvalidInput, NotFound, TooLittleMemory
from .state_dict import StateDict, read_pth

__all__ = [
    "Error",
    "InvalidInput",
    "Model",
    "NotFound",
    "StateDict",
    "TooLittleMemory",
    "__version__",
    "evaluate",
    "read_pth",
]
