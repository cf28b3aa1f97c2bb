"""Metrics against their definitions in NumPy, and against `gan-cli evaluate`."""

import json

import numpy as np
import pytest
from conftest import scene
from gan_translate import InvalidInput, NotFound, evaluate
from PIL import Image


def ssim(a, b):
    """The mean of the channels: windows of 11x11 with a Gaussian of sigma 1.5, inside the image."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(x):
        return np.einsum("hwcij,ij->hwc", np.lib.stride_tricks.sliding_window_view(x, (11, 11), (0, 1)), window)

    a, b = a.astype(float), b.astype(float)
    of_a, of_b, c1, c2 = mean(a), mean(b), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    var_a, var_b, both = mean(a * a) - of_a**2, mean(b * b) - of_b**2, mean(a * b) - of_a * of_b
    return np.mean((2 * of_a * of_b + c1) * (2 * both + c2) / ((of_a**2 + of_b**2 + c1) * (var_a + var_b + c2)))


def l1(a, b):
    return np.abs(a.astype(float) - b).mean()


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_the_definitions():
    made = np.stack([scene(40, 50, seed=seed) for seed in range(3)])
    real = np.stack([scene(40, 50, seed=seed) for seed in range(3, 6)])
    scores = evaluate(made, real)
    assert list(scores) == ["l1", "psnr", "ssim"], "MS-SSIM needs larger images"
    for name, metric in [("l1", l1), ("psnr", psnr), ("ssim", ssim)]:
        assert scores[name] == pytest.approx(np.mean([metric(a, b) for a, b in zip(made, real)]), rel=1e-9), name
    assert evaluate(list(made), list(real)) == scores
    assert evaluate(made[0], real[0], metrics=["psnr"]) == {"psnr": pytest.approx(psnr(made[0], real[0]), rel=1e-12)}
    same = evaluate(made, made)
    assert (same["l1"], same["psnr"], same["ssim"]) == (0.0, np.inf, 1.0)
    grey = made[0][..., :1]
    assert evaluate(grey[..., 0], real[0])["l1"] == pytest.approx(l1(np.repeat(grey, 3, 2), real[0]))
    assert "ms-ssim" in evaluate(scene(161, 170), scene(161, 170, seed=1))


def test_folders_have_the_figures_of_the_program(gan_cli, tmp_path):
    for folder, seed in [("made", 0), ("real", 7)]:
        (tmp_path / folder).mkdir()
        for at, size in enumerate([(170, 163), (180, 164)]):
            Image.fromarray(scene(*size, seed=seed + at)).save(tmp_path / folder / f"{at}.png")
    made, real, report = tmp_path / "made", tmp_path / "real", tmp_path / "report.json"
    gan_cli("evaluate", "--fake", made, "--real", real, "--metrics", "l1,psnr,ssim,ms-ssim", "--json", report)
    figures = json.loads(report.read_text())["metrics"]
    scores = evaluate(made, str(real))
    assert scores == {name.lower(): figure["value"] for name, figure in figures.items()}
    assert len(scores) == 4
    arrays = [[np.asarray(Image.open(folder / f"{at}.png")) for at in range(2)] for folder in (made, real)]
    assert evaluate(*arrays) == scores
    (real / "1.png").unlink()
    with pytest.raises(InvalidInput, match="do not pair up by name"):
        evaluate(made, real)


def test_what_cannot_be_compared(tmp_path):
    image = scene(20, 20)
    for made, real, words, text in [
        (image, scene(20, 21), {}, "is compared with"),
        ([image], [image, image], {}, "there are 1 made images and 2 real ones"),
        (image, image, {"metrics": ["fid"]}, 'there is no metric "fid"; there are l1, psnr, ssim, ms-ssim'),
        (image, image, {"metrics": ["ms-ssim"]}, "MS-SSIM needs sides of at least 161 pixels"),
        (tmp_path, image, {}, "give two folders"),
        (tmp_path, tmp_path, {}, "there are no images to compare"),
        ([], [], {}, "no images"),
        (image / 255, image, {}, "float64"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            evaluate(made, real, **words)
        assert text in str(caught.value)
    with pytest.raises(NotFound):
        evaluate(tmp_path / "none", tmp_path)
