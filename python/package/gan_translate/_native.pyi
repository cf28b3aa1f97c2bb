"""The part of the package that is written in Rust."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

__all__ = ["Model", "__version__", "evaluate", "read_weights"]

__version__: str

@final
class Model:
    """A trained model that translates images.

    Calls release the GIL while they compute. Calls of one model from several threads take turns, each on all processors (or ``threads``).
    Results do not depend on the number of threads.
    """

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        *,
        network: str | None = None,
        weights: Literal["raw", "ema"] | None = None,
        direction: Literal["a2b", "b2a"] | None = None,
        architecture: str | None = None,
        label_nc: int | None = None,
        instances: bool | None = None,
        eval: bool = False,
        dropout: int | None = None,
        keep_alpha: bool = False,
        max_memory: int | None = None,
        scratch: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Model:
        """Opens a run, a checkpoint, a folder of ``gan-cli export hub``, a folder of the references' checkpoints, or a bare weight file (``.pth``,
        ``.safetensors``).

        - ``weights``: those of the last step, or their moving average; the average where there is one.
        - ``direction``: for models that translate both ways (CycleGAN).
        - ``eval``: running statistics in batch norms, as PyTorch's ``eval()``. The default is the image's own, as in the references' test scripts.
        - ``dropout``: keep dropout on, with masks of this seed.
        - ``keep_alpha``: write alpha that the model does not take back onto the result. Without it, it is left out.
        - ``max_memory``: bytes that a translation may take; larger images are computed in bands of rows, with the same result, by files in the
          folder ``scratch``. The default is what the machine has to spare when the model is opened.
        - ``device``: ``cpu``; ``cuda`` or ``cuda:N`` in a build with the feature ``cuda``.
        - ``threads``: threads of this model alone. The default is one a processor, or ``RAYON_NUM_THREADS``, shared by all models.

        For bare weight files: ``network`` names one of several, ``architecture`` decides where the tensors leave a choice, ``label_nc`` and
        ``instances`` say what the input channels of a pix2pixHD generator are.

        Raises :class:`NotFound`, :class:`InvalidInput` for what is no model or an argument that does not fit it, :class:`Error` for a device
        that is not there.
        """

    def __call__(
        self,
        image: npt.ArrayLike,
        *,
        instances: npt.ArrayLike | None = None,
        style: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """Translates an image ``[H, W, C]`` of uint8 or uint16, of any size, to ``[H, W, output_channels]`` of the same type.

        ``[H, W]`` is a grey image, ``[N, H, W, C]`` several, which are translated one after the other. Grey becomes colour and colour luma where
        the model wants it; alpha is kept for models that take it, and see ``keep_alpha``.

        Models of label maps (``input == "labels"``) take ids ``[H, W]`` or ``[N, H, W]`` of any integer type instead, and return uint8. With
        ``takes_instances``, they need ``instances`` of the same shape. With ``has_styles``, ``style`` is the seed of a style, or an image that
        lends its own.

        Raises :class:`InvalidInput` for an array that the model cannot take, :class:`TooLittleMemory`.
        """

    @property
    def path(self) -> Path:
        """What was opened."""
    @property
    def method(self) -> str | None:
        """The method that trained it (``pix2pix``, ``cyclegan``, …); ``None`` for bare weight files."""
    @property
    def architecture(self) -> str:
        """The generator's: ``resnet_9blocks``, ``unet_256``, ``global``, …"""
    @property
    def direction(self) -> Literal["a2b", "b2a"]:
        """Which way it translates."""
    @property
    def input(self) -> Literal["image", "labels", "lightness"]:
        """What it takes. ``lightness``: an image whose colours it makes anew."""
    @property
    def input_channels(self) -> int:
        """Channels of the images that it takes; of label maps, the number of labels."""
    @property
    def output_channels(self) -> int:
        """Channels of the images that it makes."""
    @property
    def takes_instances(self) -> bool:
        """Whether it needs instance maps."""
    @property
    def has_styles(self) -> bool:
        """Whether it has an encoder of instance features."""
    @property
    def size_multiple(self) -> int:
        """Sides of images are extended to multiples of this by mirroring, and results are cut back."""
    @property
    def step(self) -> int | None:
        """Step of the checkpoint; ``None`` for other models."""
    @property
    def device(self) -> str:
        """Where it computes."""
    @property
    def notes(self) -> list[str]:
        """What there is to know: checkpoints that were passed over, what a weight file holds."""

def evaluate(
    made: npt.ArrayLike | str | os.PathLike[str],
    real: npt.ArrayLike | str | os.PathLike[str],
    metrics: Sequence[Literal["l1", "psnr", "ssim", "ms-ssim"]] | None = None,
) -> dict[str, float]:
    """Means of metrics over pairs of made and real images, as ``gan-cli evaluate`` computes them.

    Both are arrays (``[H, W]``, ``[H, W, C]``, ``[N, H, W, C]``), lists of images of any sizes, or folders, whose images are paired by name. The
    two of a pair have one size. ``l1`` is in levels of 0 to 255, ``psnr`` in dB; images of 16 bits are rounded to 8.

    Without ``metrics``, all that the sizes of the images allow: ``ssim`` needs sides of 11 pixels, ``ms-ssim`` of 161.

    Raises :class:`InvalidInput`, :class:`NotFound`.
    """

def read_weights(path: str | os.PathLike[str], entry: str | None = None) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str], list[str]]: ...
