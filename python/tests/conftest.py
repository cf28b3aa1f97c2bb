"""Models of all kinds, tiny, and the program that they are compared with: `GAN_CLI`, or what the checkout's build left."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/fixtures/format-2"


@pytest.fixture(scope="session")
def gan_cli():
    """Runs the program and returns what it prints."""
    program = Path(os.environ.get("GAN_CLI", ROOT / "target/debug/gan-cli")).resolve()
    if not program.is_file():
        pytest.skip(f"there is no program {program}: build gan-cli, or name it in GAN_CLI")

    def run(*words):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def unet(gan_cli, tmp_path_factory):
    """A run of a U-Net with batch norm, whose inputs are extended to multiples of 32."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    small = ["max_steps=4", "max_dataset_size=4", "load_size=32", "crop_size=32", "workers=0", "display_freq=0"]
    network = ["generator.arch=unet", "num_downs=5", "ngf=4", "ndf=4"]
    gan_cli("demo", "--out", run, *[word for key in small + network for word in ("--set", key)])
    return run


@pytest.fixture
def translated(gan_cli, tmp_path):
    """What `gan-cli translate` makes of an array, as an array `[H, W, C]`."""

    def translate(model, image, *options):
        source, result = tmp_path / "input.png", tmp_path / "result.npy"
        if isinstance(image, Path):
            source = image
        elif image.dtype == np.uint16:
            # Big-endian, as the format has it.
            source = tmp_path / "input.ppm"
            height, width, _ = image.shape
            source.write_bytes(b"P6\n%d %d\n65535\n" % (width, height) + image.astype(">u2").tobytes())
        else:
            Image.fromarray(image).save(source)
        gan_cli("translate", "--model", model, "--input", source, "--output", result, *options)
        made = np.load(result)
        return made if made.ndim == 3 else made[..., None]

    return translate


def scene(height, width, channels=3, dtype=np.uint8, seed=0):
    """Waves and noise."""
    rng = np.random.default_rng(seed)
    y, x, c = np.ogrid[:height, :width, :channels]
    waves = np.sin(0.13 * x + c + seed) * np.cos(0.21 * y - 0.5 * c)
    values = np.clip(0.5 + 0.4 * waves + 0.1 * rng.standard_normal((height, width, channels)), 0, 1)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)
