#!/usr/bin/env python3
"""Compares this project's picture loading with Pillow and torchvision on the same files.

    cargo build -p gan-data --example loading_speed
    pip install pillow torch torchvision
    python benches/loading.py FOLDER... [--jpeg FOLDER] [--workers 0 2] [--pairs 5]

Each FOLDER is timed as it is; of each PNG in the folder given by --jpeg a JPEG of quality 90 is timed as well. Both
sides do what training does to a picture: read, bicubic resize to 286 x 286, random crop to 256 x 256, mirror half of
them, convert to float32 in [-1, 1]. Their runs alternate, so that other load on the machine hits both; the figures are
medians over the pairs. `wall` compares pictures a second; `cpu` compares processor time a picture, which other load
disturbs less. A ratio above 1 means that this project is faster.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATTERNS = {".png", ".jpg", ".jpeg"}


def pictures(folder):
    return sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in PATTERNS)


def theirs(folder, workers, epochs):
    """Times torchvision in this process and prints the same two lines as the example."""
    import torch
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    torch.set_num_threads(1)
    steps = transforms.Compose([
        transforms.Resize([286, 286], InterpolationMode.BICUBIC),
        transforms.RandomCrop(256),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ])

    class Pictures(torch.utils.data.Dataset):
        files = pictures(folder)

        def __len__(self):
            return epochs * len(self.files)

        def __getitem__(self, index):
            return steps(Image.open(self.files[index % len(self.files)]).convert("RGB"))

    def used():
        return sum(os.times()[:4])

    data = Pictures()
    for index in range(len(data.files)):
        data[index]
    loader = torch.utils.data.DataLoader(data, batch_size=1, num_workers=workers)
    start, before = time.perf_counter(), used()
    batches = iter(loader)
    next(batches)
    for _ in batches:
        pass
    wall = time.perf_counter() - start
    # The processor time of worker processes counts once they have been waited for.
    del batches
    print(f"items/s {len(data) / wall:.3f}")
    print(f"cpu ms/item {1e3 * (used() - before) / len(data):.3f}")


def measure(command):
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines)
    return float(figures["items/s"]), float(figures["cpu ms/item"])


def compare(name, folder, workers, options, cache=None):
    files = len(pictures(folder))
    epochs = max(1, round(options.items / files))
    run = [str(folder), str(workers), str(epochs)]
    ours, other = [], []
    for _ in range(options.pairs):
        ours.append(measure([options.example, *run, *([cache] if cache else [])]))
        other.append(measure([sys.executable, __file__, "--theirs", *run]))
    median = lambda rows, column: statistics.median(row[column] for row in rows)
    wall = statistics.median(a[0] / b[0] for a, b in zip(ours, other))
    cpu = statistics.median(b[1] / a[1] for a, b in zip(ours, other))
    print(
        f"| {name} | {workers} | {median(ours, 0):.1f} | {median(other, 0):.1f} | {wall:.2f} "
        f"| {median(ours, 1):.1f} | {median(other, 1):.1f} | {cpu:.2f} |",
        flush=True,
    )


def main():
    if sys.argv[1:2] == ["--theirs"]:
        return theirs(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--jpeg", type=Path, help="folder whose pictures are timed as JPEG of quality 90")
    parser.add_argument("--cached", type=Path, help="folder that this project reads through a warm cache")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--items", type=int, default=48, help="pictures a run, about")
    parser.add_argument("--example", default="target/debug/examples/loading_speed")
    options = parser.parse_args()
    print("| pictures | workers | ours/s | theirs/s | wall ratio | our cpu ms | their cpu ms | cpu ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for workers in options.workers:
            for folder in options.folders:
                compare("/".join(folder.parts[-2:]), folder, workers, options)
            if options.jpeg:
                from PIL import Image

                made = Path(scratch, "jpeg")
                made.mkdir(exist_ok=True)
                for file in pictures(options.jpeg):
                    Image.open(file).convert("RGB").save(made / f"{file.stem}.jpg", quality=90)
                compare(f"{options.jpeg.name} as JPEG", made, workers, options)
            if options.cached:
                cache = str(Path(scratch, "cache"))
                compare(f"{options.cached.name}, cached", options.cached, workers, options, cache)


if __name__ == "__main__":
    main()
