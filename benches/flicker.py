#!/usr/bin/env python3
"""Measures how much translated clips with known motion flicker (docs/video.md defines the figures).

    cargo build --release
    python benches/flicker.py --model runs/night [--model runs/other] [--photos PHOTO PHOTO] [--gan-cli target/release/gan-cli] \\
        [--frames 24] [--size 256 160] [--keep DIR] [--markdown]

Needs numpy and Pillow. Clips are drawn here, without loss: a pan, a zoom and moving objects over a drawn scene, and a pan over each
photo. Each is translated frame by frame (`--steady off`), with statistics of its scene, and with `--steady full`; `--modes` takes other
arguments of `gan-cli video`. Figures are levels of 255. `CPU` is the processor time of a command, its children included, in seconds a frame
without what a command of one frame takes.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

MODES = {
    "frame by frame": ["--steady", "off"],
    "statistics": ["--steady", "statistics"],
    "full": ["--steady", "full"],
}


def drawn_scene(width, height, seed):
    """A scene of soft light, walls with windows, stripes and grain, [H, W, 3] of levels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    scene = np.stack([120 + 60 * np.sin(x / 211 + p) * np.cos(y / 157 - p) for p in (0.0, 0.8, 1.9)], axis=-1)
    for _ in range(60):
        w, h = rng.integers(20, 160), rng.integers(20, 160)
        left, top = rng.integers(-40, width), rng.integers(-40, height)
        inside = (x >= left) & (x < left + w) & (y >= top) & (y < top + h)
        colour, period = rng.uniform(20, 235, 3), rng.integers(5, 23)
        pattern = rng.integers(0, 4)
        if pattern == 0:
            texture = ((x - left) // period % 2 == 0) & ((y - top) // period % 2 == 0)
        elif pattern == 1:
            texture = (x + y) // period % 2 == 0
        elif pattern == 2:
            texture = (x - left - w / 2) ** 2 + (y - top - h / 2) ** 2 < (min(w, h) / 2) ** 2
        else:
            texture = np.ones_like(inside)
        scene[inside] = colour * 0.55
        scene[inside & texture] = colour
    scene += rng.normal(0, 3, scene.shape)
    return np.clip(scene, 0, 255)


def cubic(t):
    return np.stack([-0.5 * t**3 + t**2 - 0.5 * t, 1.5 * t**3 - 2.5 * t**2 + 1, -1.5 * t**3 + 2 * t**2 + 0.5 * t, 0.5 * t**3 - 0.5 * t**2])


def sampled(image, sx, sy):
    """The image at these places, exact on pixels, by the cubic of Catmull and Rom between them."""
    height, width = image.shape[:2]
    x0, y0 = np.floor(sx), np.floor(sy)
    wx, wy = cubic(sx - x0), cubic(sy - y0)
    columns = [np.clip(x0 + k, 0, width - 1).astype(int) for k in (-1, 0, 1, 2)]
    rows = [np.clip(y0 + k, 0, height - 1).astype(int) for k in (-1, 0, 1, 2)]
    out = np.zeros(sx.shape + image.shape[2:])
    for j in range(4):
        for i in range(4):
            out += (wx[i] * wy[j])[..., None] * image[rows[j], columns[i]]
    return out


class Clip:
    """Frames, and of each where its pixels were in the frame before: (sx, sy, known)."""

    def __init__(self, name, frames, motion):
        self.name, self.frames, self.motion = name, [np.rint(np.clip(f, 0, 255)) for f in frames], motion


def grid(width, height):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return x, y


def pan(name, image, width, height, count, steps):
    """A window over an image, moved by whole pixels."""
    places, at = [], np.array([0, 0])
    for t in range(count):
        places.append(at.copy())
        at = at + steps[t % len(steps)]
    places = np.array(places) - np.min(places, axis=0)
    need = places.max(axis=0) + [width, height]
    if image.shape[1] < need[0] or image.shape[0] < need[1]:
        sys.exit(f"{name}: the image is too small for {count} frames")
    frames = [image[y : y + height, x : x + width] for x, y in places]
    x, y = grid(width, height)

    def motion(t):
        dx, dy = places[t] - places[t - 1]
        sx, sy = x + dx, y + dy
        return sx, sy, (sx >= 0) & (sx < width) & (sy >= 0) & (sy < height)

    return Clip(name, frames, motion)


def zoom(name, image, width, height, count, factor):
    """A window around the middle of an image, that becomes smaller."""
    centre = np.array(image.shape[1::-1]) / 2
    x, y = grid(width, height)
    X, Y = x - (width - 1) / 2, y - (height - 1) / 2
    scales = [2.0 * factor**-t for t in range(count)]
    frames = []
    for scale in scales:
        # Means over as many samples as a pixel covers.
        total, n = 0, 4
        for j in range(n):
            for i in range(n):
                total = total + sampled(image, centre[0] + scale * (X + (i + 0.5) / n - 0.5), centre[1] + scale * (Y + (j + 0.5) / n - 0.5))
        frames.append(total / n**2)

    def motion(t):
        ratio = scales[t] / scales[t - 1]
        sx, sy = X * ratio + (width - 1) / 2, Y * ratio + (height - 1) / 2
        return sx, sy, (sx >= 1) & (sx <= width - 2) & (sy >= 1) & (sy <= height - 2)

    return Clip(name, frames, motion)


def objects(name, image, width, height, count, seed):
    """Discs with a texture that move by whole pixels, over a window that stands still."""
    rng = np.random.default_rng(seed)
    x, y = grid(width, height)
    discs = []
    for _ in range(4):
        radius = rng.integers(18, 36)
        start = rng.integers([0, 0], [width, height])
        speed = rng.integers(-5, 6, 2)
        texture = drawn_scene(2 * radius + 1, 2 * radius + 1, int(rng.integers(1 << 30)))
        discs.append((radius, start, speed, texture))
    frames, owners = [], []
    for t in range(count):
        frame, owner = image[:height, :width].copy(), np.zeros((height, width), int)
        for number, (radius, start, speed, texture) in enumerate(discs, 1):
            # They come back on the other side.
            cx, cy = (start + speed * t) % [width + 80, height + 80] - 40
            inside = (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
            tx, ty = (x - cx + radius).astype(int)[inside], (y - cy + radius).astype(int)[inside]
            frame[inside], owner[inside] = texture[ty, tx], number
        frames.append(frame)
        owners.append(owner)
    speeds = np.array([[0, 0]] + [speed for _, _, speed, _ in discs])

    def motion(t):
        v = speeds[owners[t]]
        sx, sy = x - v[..., 0], y - v[..., 1]
        known = (sx >= 0) & (sx < width) & (sy >= 0) & (sy < height)
        before = np.zeros_like(owners[t])
        before[known] = owners[t - 1][sy[known].astype(int), sx[known].astype(int)]
        return sx, sy, known & (before == owners[t])

    return Clip(name, frames, motion)


def differences(clip, frames):
    """Of each pair of frames the mean absolute difference, and the means of channels, after undoing the motion."""
    absolute, means = [], []
    for t in range(1, len(frames)):
        sx, sy, known = clip.motion(t)
        difference = (frames[t] - sampled(frames[t - 1], sx, sy))[known]
        absolute.append(np.abs(difference).mean())
        means.append(difference.mean(axis=0))
    return np.array(absolute), np.array(means)


def figures(clip, frames):
    """Mean flicker, that of the worst pair, and the largest shift."""
    own, own_means = differences(clip, clip.frames)
    made, made_means = differences(clip, frames)
    flicker = np.maximum(made - own, 0)
    shift = np.abs(made_means - own_means).max(axis=1)
    return flicker.mean(), flicker.max(), shift.max()


def timed(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def read(folder):
    return [np.asarray(Image.open(path).convert("RGB"), dtype=np.float64) for path in sorted(folder.glob("*.png"))]


def clips(args):
    (width, height), count = args.size, args.frames
    steps = [(3, 0), (2, 1), (1, 0), (0, 1), (5, -1), (2, -1)]
    room = 5 * count + 16
    scene = drawn_scene(max(width + room, 2 * width + 64), max(height + room, 2 * height + 64), 1)
    yield pan("drawn pan", scene, width, height, count, steps)
    yield zoom("drawn zoom", scene, width, height, count, 1.012)
    yield objects("drawn objects", scene[100:], width, height, count, 7)
    for path in args.photos:
        photo = Image.open(path).convert("RGB")
        # As large as the pan needs, at least.
        factor = min(1.0, max((width + room) / photo.width, (height + 2 * count) / photo.height))
        photo = photo.resize((round(photo.width * factor), round(photo.height * factor)), Image.LANCZOS)
        yield pan(f"pan of {Path(path).stem[:20]}", np.asarray(photo, dtype=np.float64), width, height, count, steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--photos", nargs="*", default=[])
    parser.add_argument("--gan-cli", default="target/release/gan-cli")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=[256, 160])
    parser.add_argument("--keep", help="a folder for the frames")
    parser.add_argument("--modes", nargs="*", help="arguments of gan-cli video, each as one word, in place of the three")
    parser.add_argument("--more", default="", help="arguments for every call, as one word")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    modes = {mode: mode.split() for mode in args.modes} if args.modes else MODES
    gan_cli = os.path.abspath(args.gan_cli)
    with tempfile.TemporaryDirectory(prefix="flicker-") as work:
        work = Path(args.keep or work)
        header = ["model", "clip", "mode", "mean", "worst pair", "shift", "CPU", "ratio"]
        print("| " + " | ".join(header) + " |\n|" + "---|" * len(header) if args.markdown else "  ".join(header), flush=True)
        for clip in clips(args):
            source = work / clip.name.replace(" ", "-") / "in"
            source.mkdir(parents=True, exist_ok=True)
            for t, frame in enumerate(clip.frames):
                Image.fromarray(frame.astype(np.uint8)).save(source / f"{t:04}.png")
            for model in args.model:
                base = None
                for mode, arguments in modes.items():
                    name = "-".join([Path(model).name, *mode.split()])
                    out, single = source.parent / name, source.parent / "one"
                    command = [gan_cli, "video", source, out, "--model", model, *arguments, *args.more.split(), "--restart"]
                    _, cpu = timed(command)
                    _, start = timed([*command[:3], single, *command[4:], "--duration", "0.01"])
                    cpu = (cpu - start) / (len(clip.frames) - 1)
                    base = base or cpu
                    mean, worst, shift = figures(clip, read(out))
                    row = [Path(model).name, clip.name, mode, f"{mean:.2f}", f"{worst:.2f}", f"{shift:.2f}", f"{cpu:.3f}", f"{cpu / base:.2f}"]
                    print("| " + " | ".join(row) + " |" if args.markdown else "  ".join(row), flush=True)


if __name__ == "__main__":
    main()
