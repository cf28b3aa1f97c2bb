#!/usr/bin/env python3
"""Compares translating a folder with the bare forward passes that it consists of.

    cargo build --release
    python benches/many.py [--gan-cli target/release/gan-cli] [--images 500] [--rounds 3] [--batch 1] [--device cpu]

Procedural PNGs of 256 x 256 are translated by a ResNet of nine blocks and by U-Net 256; the models are runs of one step. In each
round three commands take turns, so that other load on the machine hits all: `gan-cli bench`, `translate` of the folder, and `translate`
of one image. `over bench` is the wall time an image over the mean of `bench`'s runs, with start, reading and writing: 1.00 means that
these cost nothing. `bench` runs a fifth as often as there are images: on machines that others share, a short burst of work is quicker than
a long one. `CPU s` is the processor time of a command, its children included. Figures are medians over the rounds.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = {
    # bench's case, then the arguments of a run of one step with the same network. A ResNet is the same for every size; bench's U-Net
    # has instance norm, as every network there.
    "resnet9": ("infer-resnet9", ["cyclegan", "--set", "data.mode=unpaired", "--size", "32"]),
    "unet256": ("infer-unet256", ["pix2pix", "--set", "data.mode=facades", "--set", "generator.norm=instance"]),
}


def timed(command):
    """Wall and processor seconds of a command that has to succeed, and what it printed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gan-cli", default="target/release/gan-cli")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    gan_cli, work = os.path.abspath(args.gan_cli), Path(tempfile.mkdtemp(prefix="many-"))
    try:
        measure(args, gan_cli, work)
    finally:
        shutil.rmtree(work)


def measure(args, gan_cli, work):
    timed([gan_cli, "dataset", "synth", "unpaired", "--out", work / "set", "--count", str(args.images), "--test", "1"])
    inputs = sorted((work / "set" / "trainA").iterdir())
    print(f"{len(inputs)} images of 256 x 256, batch {args.batch}, {args.device}, {os.cpu_count()} processors")
    for name in args.models:
        case, settings = MODELS[name]
        run = work / name
        one_step = ["--set", "max_steps=1", "--set", "max_dataset_size=1", "--set", "workers=0"]
        timed([gan_cli, "train", *settings, *one_step, "--out", run])
        place = ["--device", args.device]
        rounds = []
        for _ in range(args.rounds):
            bench = json.loads(timed([gan_cli, "bench", "--case", case, "--runs", str(max(20, len(inputs) // 5)), "--json", *place])[2])
            out = work / "out"
            wall, cpu, _ = timed([gan_cli, "translate", run, work / "set" / "trainA", out, "--batch", str(args.batch), *place])
            assert len(list(out.iterdir())) == len(inputs)
            shutil.rmtree(out)
            first, first_cpu, _ = timed([gan_cli, "translate", run, inputs[0], work / "one.png", *place])
            each, forward = wall / len(inputs), bench["mean_ms"] / 1e3
            rounds.append((forward, each, each / forward, cpu / len(inputs), first, first_cpu))
        forward, each, ratio, cpu, first, first_cpu = map(statistics.median, zip(*rounds))
        print(
            f"{name}: bench {forward * 1e3:.1f} ms; a file {each * 1e3:.1f} ms, {ratio:.3f} over bench "
            f"({min(r[2] for r in rounds):.3f} to {max(r[2] for r in rounds):.3f}), {cpu:.3f} CPU s; "
            f"first image after {first:.2f} s, {first_cpu:.2f} CPU s"
        )


if __name__ == "__main__":
    main()
