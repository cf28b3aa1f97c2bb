"""Writes stand-in weight files for `gan-cli evaluate --weights-dir DIR --allow-other-weights`: `python make_metric_weights.py --out DIR [--seed N]` (needs torch, torchvision, lpips and safetensors).

The files have the formats, keys and shapes of the published ones, and the names that `gan-cli fetch` gives them. Inception and the trunks of LPIPS are filled by the
rule of make_metric_networks.py. The heads of LPIPS are the published ones: they are part of the package lpips.
"""
import argparse
import importlib.util
import pathlib
import shutil

import torch
import torchvision

from make_metric_networks import Weights

TRUNKS = {"alexnet": torchvision.models.alexnet, "vgg16": torchvision.models.vgg16, "squeezenet1_1": torchvision.models.squeezenet1_1}
HEADS = ("alex", "vgg", "squeeze")


def inception():
    """torchvision's network has the blocks of FID's, with other pools: keys and shapes are the same."""
    return torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)


def filled(network, weights):
    """A state dict with the keys and shapes of `network()`."""
    with torch.device("meta"):
        state = network().state_dict()
    return {k: torch.from_numpy(weights(k, *v.shape)).float() if v.is_floating_point() else torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items()}


def write(out, seed):
    out.mkdir(parents=True, exist_ok=True)
    for name, network in {"inception": inception, **TRUNKS}.items():
        torch.save(filled(network, Weights(seed)), out / f"{name}.pth")
    package = pathlib.Path(importlib.util.find_spec("lpips").origin).parent
    for name in HEADS:
        shutil.copyfile(package / "weights" / "v0.1" / f"{name}.pth", out / f"lpips_{name}.pth")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", type=pathlib.Path, required=True)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    write(a.out, a.seed)


if __name__ == "__main__":
    main()
