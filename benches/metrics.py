#!/usr/bin/env python3
"""Compares `gan-cli evaluate` with the packages that define its metrics, on the same files and with the same weights.

    pip install torch torchvision pytorch-fid torch-fidelity clean-fid lpips pytorch-msssim scikit-image safetensors 'scipy<1.18'
    python benches/metrics.py PHOTOS... --work DIR                  # every metric
    python benches/metrics.py PHOTOS... --work DIR --speed          # time and memory of FID

The real images are crops of the photos in the folders PHOTOS, and the fakes the same crops, blurred, shifted and noisy.
DIR keeps them and the stand-in weights of tests/oracle/make_metric_weights.py. Below 1000 images torch-fidelity's KID is left out.

`--speed` runs both programs in turns with all cores. CPU seconds are user plus system time of a program and its workers; they are the figure to
compare when other programs share the machine. No features are cached.
"""
import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "oracle"))
PACKAGES = ("torch", "pytorch-fid", "torch-fidelity", "clean-fid", "lpips", "pytorch-msssim", "scikit-image", "scipy")
SIDE = 256
TURNS = 2


# ---- images ---------------------------------------------------------------------------------------------------------

def spoiled(image, rng):
    """Another contrast and brightness, a blur, a shift by a pixel, and noise."""
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))), float)
    other = np.roll(blurred, 1, axis=1) * rng.uniform(0.8, 1.1) + rng.uniform(-10, 10) + rng.normal(0, 6, image.shape)
    return np.clip(np.rint(other), 0, 255).astype(np.uint8)


def make_images(photos, work, count):
    """Folders of `count` fakes and reals of one name, made once."""
    folders = work / f"fake{count}", work / f"real{count}"
    if all(folder.exists() for folder in folders):
        return folders
    sources = [np.asarray(Image.open(path).convert("RGB")) for folder in photos for path in sorted(folder.iterdir())]
    sources = [photo for photo in sources if min(photo.shape[:2]) > SIDE]
    rng = np.random.RandomState(1)
    for folder in folders:
        folder.mkdir(parents=True)
    for i in range(count):
        photo = sources[i % len(sources)]
        top, left = (rng.randint(size - SIDE) for size in photo.shape[:2])
        real = photo[top : top + SIDE, left : left + SIDE]
        for folder, image in zip(folders, (spoiled(real, rng), real)):
            Image.fromarray(image).save(folder / f"{i:04}.png")
    return folders


def pairs(fake, real):
    for path in sorted(fake.iterdir()):
        yield [np.array(Image.open(folder / path.name)) for folder in (fake, real)]


# ---- this project ---------------------------------------------------------------------------------------------------

def command(a, fake, real, *options):
    return [a.gan_cli, "evaluate", "--fake", fake, "--real", real, "--weights-dir", a.work / "weights", "--allow-other-weights", *options]


def ours(a, fake, real, metrics, *options):
    report = a.work / "report.json"
    environment = os.environ | {"GAN_FEATURE_CACHE": ""}
    subprocess.run(command(a, fake, real, "--metrics", metrics, "--json", report, *options), check=True, env=environment, stdout=subprocess.DEVNULL)
    return {name: metric["value"] for name, metric in json.loads(report.read_text())["metrics"].items()}


# ---- the packages ---------------------------------------------------------------------------------------------------

def pytorch_fid(weights, fake, real):
    import pytorch_fid.fid_score
    import pytorch_fid.inception
    import torch

    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights / "inception.pth")
    batch, workers = 50, min(len(os.sched_getaffinity(0)), 8)  # those of its command line
    return pytorch_fid.fid_score.calculate_fid_given_paths([str(fake), str(real)], batch, "cpu", 2048, workers)


def clean_fid(weights, fake, real):
    """With its PyTorch network. In this mode it takes the same network from a TorchScript, whose weights cannot be replaced."""
    import cleanfid.fid
    import cleanfid.inception_pytorch as inception
    import torch

    inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights / "inception.pth")
    network = inception.InceptionV3(resize_input=False, normalize_input=False).eval()

    def features(x):
        return network((x - 128) / 128)[0][..., 0, 0]

    options = dict(mode="clean", num_workers=0, device=torch.device("cpu"), verbose=False)
    sets = [cleanfid.fid.get_folder_features(str(folder), features, **options) for folder in (fake, real)]
    return {"FID": cleanfid.fid.fid_from_feats(*sets), "KID": cleanfid.fid.kernel_distance(*sets)}, exact_fid(*(f.astype(float) for f in sets))


def exact_fid(x, y):
    """FID of features without the root of a singular matrix: its trace is the sum of the singular values of Xc Yc^T / sqrt((n1-1)(n2-1))."""
    means = x.mean(0), y.mean(0)
    x, y = x - means[0], y - means[1]
    n, m = len(x) - 1, len(y) - 1
    root = np.linalg.svd(x @ y.T / np.sqrt(n * m), compute_uv=False).sum()
    return ((means[0] - means[1]) ** 2).sum() + (x**2).sum() / n + (y**2).sum() / m - 2 * root


def torch_fidelity(weights, fake, real, kid):
    """Precision and recall in Inception's features; the package's default are those of VGG16."""
    import torch_fidelity

    values = torch_fidelity.calculate_metrics(
        input1=str(fake), input2=str(real), cuda=False, fid=True, kid=kid, prc=True, verbose=False, cache=False,
        feature_extractor="inception-v3-compat", feature_extractor_weights_path=str(weights / "inception.pth"),
    )
    names = {"FID": "frechet_inception_distance", "KID": "kernel_inception_distance_mean", "precision": "precision", "recall": "recall"}
    return {name: values[key] for name, key in names.items() if key in values}


def pixel_metrics(fake, real):
    import pytorch_msssim
    import torch
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1)
    found = []
    for x, y in pairs(fake, real):
        tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in (x, y)]
        row = np.abs(x.astype(float) - y).mean(), peak_signal_noise_ratio(y, x), structural_similarity(x.astype(float), y.astype(float), **wang)
        found.append((*row, pytorch_msssim.ms_ssim(*tensors, data_range=255).item()))
    return dict(zip(("L1", "PSNR", "SSIM", "MS-SSIM"), np.mean(found, axis=0)))


def perceptual(weights, net, trunk, fake, real):
    import lpips
    import torch

    model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = torch.load(weights / f"{trunk}.pth")
    # Inside the package a trunk's keys are `slice<k>.<N>…` with torchvision's N.
    model.net.load_state_dict({key: state["features." + key.split(".", 1)[1]] for key in model.net.state_dict()})
    with torch.no_grad():
        distances = [model(*(lpips.im2tensor(image) for image in pair)).item() for pair in pairs(fake, real)]
    return float(np.mean(distances))


# ---- tables ---------------------------------------------------------------------------------------------------------

def compare(a):
    weights = a.work / "weights"
    fake, real = make_images(a.photos, a.work, a.images)
    kid = a.images >= 1000
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    print("\n| images | metric | protocol or network | `gan-cli evaluate` | the package | | difference |\n|---|---|---|---|---|---|---|")

    def rows(mine, theirs, protocol, package):
        for name, value in theirs.items():
            print(f"| {a.images} | {name} | {protocol} | {mine[name]:.9g} | {value:.9g} | {package} | {mine[name] - value:.1e} |", flush=True)

    if "pixels" in a.only:
        mine, theirs = ours(a, fake, real, "l1,psnr,ssim,ms-ssim"), pixel_metrics(fake, real)
        for name, package in (("L1", "NumPy"), ("PSNR", "scikit-image"), ("SSIM", "scikit-image"), ("MS-SSIM", "pytorch-msssim")):
            rows(mine, {name: theirs[name]}, "", package)
    if "lpips" in a.only:
        for net, trunk in (("alex", "alexnet"), ("vgg", "vgg16"), ("squeeze", "squeezenet1_1")):
            rows(ours(a, fake, real, "lpips", "--lpips-net", net), {"LPIPS": perceptual(weights, net, trunk, fake, real)}, net, "lpips")
    if "sets" in a.only:
        mine = ours(a, fake, real, "fid,kid", "--protocol", "clean")
        theirs, exact = clean_fid(weights, fake, real)
        rows(mine, theirs, "clean", "clean-fid")
        rows(mine, {"FID": exact}, "clean", "clean-fid's features, exact trace")
        rows(ours(a, fake, real, "fid", "--protocol", "pytorch"), {"FID": pytorch_fid(weights, fake, real)}, "pytorch", "pytorch-fid")
        metrics = "fid,kid,pr" if kid else "fid,pr"
        rows(ours(a, fake, real, metrics, "--protocol", "torch-fidelity"), torch_fidelity(weights, fake, real, kid), "torch-fidelity", "torch-fidelity")


def resources(command):
    """Elapsed and CPU seconds, and peak resident MiB, of a program and the workers it waits for."""
    start = time.monotonic()
    child = subprocess.Popen(command, env=os.environ | {"GAN_FEATURE_CACHE": ""}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def speed(a):
    fake, real = make_images(a.photos, a.work, a.images)
    half = make_images(a.photos, a.work, a.images // 2)
    fid = ("--metrics", "fid", "--protocol", "pytorch")
    mine = command(a, fake, real, *fid)
    theirs = [sys.executable, __file__, "--pytorch-fid", a.work / "weights", fake, real]
    runs = [(resources(mine), resources(theirs)) for _ in range(TURNS)]
    print(f"FID of {a.images} and {a.images} images of {SIDE}x{SIDE}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")
    print("\n| | `gan-cli evaluate` | pytorch-fid | ratio |\n|---|---|---|---|")
    for i, name in enumerate(("seconds", "CPU seconds", "peak MiB")):
        x, y = (statistics.median(run[side][i] for run in runs) for side in (0, 1))
        print(f"| {name} | {x:.1f} | {y:.1f} | {x / y:.2f} |")
    print(f"\nPeak of `gan-cli evaluate` with half as many images: {resources(command(a, *half, *fid))[2]:.0f} MiB")


def main():
    if sys.argv[1:2] == ["--pytorch-fid"]:
        return print(pytorch_fid(*map(Path, sys.argv[2:])))
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("photos", nargs="+", type=Path)
    ap.add_argument("--work", type=Path, required=True)
    ap.add_argument("--images", type=int, default=200)
    ap.add_argument("--gan-cli", default=str(HERE.parent / "target" / "release" / "gan-cli"))
    ap.add_argument("--only", nargs="+", default=["pixels", "lpips", "sets"], choices=["pixels", "lpips", "sets"])
    ap.add_argument("--speed", action="store_true")
    a = ap.parse_args()
    if not (a.work / "weights").exists():
        import make_metric_weights

        make_metric_weights.write(a.work / "weights", 1)
    (speed if a.speed else compare)(a)


if __name__ == "__main__":
    main()
