#!/usr/bin/env python3
"""Measures translations of large images, without a limit of memory and within some, and PyTorch beside them where it survives.

    cargo build --release
    pip install torch                                # without it, PyTorch is left out, and models are runs of one step
    python benches/large.py                          # ResNet-9, U-Net-256, global, local at 1024 and 2048, within 1GiB
    python benches/large.py --networks resnet9 --sizes 1024 2048 4096 8192 --limits none 1GiB 512MiB
    python benches/large.py --networks local --sizes 4096x2048 --limits none 1536MiB --json large.json
    python benches/large.py --networks resnet9 --ngf 4 --sizes 30000 --limits 2GiB

Each line is one process: wall and processor seconds, the most that was resident, and of ours what `--plan` says beforehand (files, bytes
moved, sweeps, memory, seconds). A size is a side, or WIDTHxHEIGHT; above 64 megapixels, images are read within a limit alone. --ngf makes the
networks narrower, of which models are then runs of one step. `none` is no --max-memory: the limit is what the machine has to spare.
Results of one model and image have to be the same bytes, whatever the limit; the script fails where they are not. PyTorch computes the
bare network on an image in memory (eager, no gradients); it is killed by the system where memory runs out, which the line says.
"""

import argparse
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
LABELS = 35
LABELLED = ("global", "local")
# The arguments of a run of one step with the same network, for who has no PyTorch.
NETWORKS = {
    "resnet9": ["cyclegan", "--set", "data.mode=unpaired", "--size", "32"],
    "unet256": ["pix2pix", "--set", "data.mode=facades"],
    "global": ["pix2pixhd", "--set", "data.mode=streets", "--size", "64", "--set", "loss.perceptual=none"],
    "local": ["pix2pixhd", "--set", "data.mode=streets", "--size", "64", "--set", "loss.perceptual=none", "--set", "generator.arch=local"],
}


def torch_networks():
    """Builders of the oracle's networks, by name."""
    sys.path.insert(0, str(HERE.parent / "tests" / "oracle"))
    import nets

    return {
        "resnet9": nets.ResnetGenerator,
        "unet256": nets.UnetGenerator,
        "global": lambda: nets.GlobalGenerator(LABELS + 1),
        "local": lambda: nets.LocalEnhancer(LABELS + 1, n_down_global=4),
    }


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0


def run(command, limit_s=None):
    """Wall and processor seconds, MiB resident at most, how it ended (0, an exit code, or minus a signal), and what it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if limit_s and time.perf_counter() - start > limit_s:
                child.kill()
            time.sleep(0.02)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text, errors = out.read().decode(), err.read().decode()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, child.returncode, text, errors


def must(command):
    *_, code, text, errors = run(command)
    if code != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{errors}")
    return text


def write_png(path, width, height, channels, depth, row):
    """A PNG whose row y is `row(y)`, without filters."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = {1: 0, 3: 2}[channels]
    deflate = zlib.compressobj(1)
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)))
        for y in range(height):
            if data := deflate.compress(b"\0" + row(y)):
                out.write(chunk(b"IDAT", data))
        out.write(chunk(b"IDAT", deflate.flush()) + chunk(b"IEND", b""))


def photo(path, width, height):
    """Waves and a little noise, in three channels."""
    import math
    import random

    noise = random.Random(0).randbytes(6 * width + 4096)
    wave = [int(60 * math.sin(i / 97) + 40 * math.sin(i / 13) + 120) for i in range(6 * width + 4096)]
    base = bytes((w + n % 16) & 255 for w, n in zip(wave, noise))
    write_png(path, width, height, 3, 8, lambda y: base[(y * 7) % 3001 :][: 3 * width])


def labels(path, width, height):
    """Squares of 64 pixels, each of a label."""
    def row(y):
        return b"".join(bytes([(x * 5 + y // 64 * 7) % LABELS]) * 64 for x in range(-(-width // 64)))[:width]

    write_png(path, width, height, 1, 8, row)


def instances(path, width, height):
    def row(y):
        squares = (struct.pack(">H", (x + y // 64 * 300) % 65536) * 64 for x in range(-(-width // 64)))
        return b"".join(squares)[: 2 * width]

    write_png(path, width, height, 1, 16, row)


def models(args, work):
    """A weight file or a run for each network."""
    found = {}
    if args.torch:
        script = "import sys, torch; sys.path.insert(0, sys.argv[1]); import large; torch.manual_seed(0); torch.save(large.torch_networks()[sys.argv[2]]().state_dict(), sys.argv[3])"
        for name in args.networks:
            found[name] = work / f"{name}.pth"
            must([sys.executable, "-c", script, HERE, name, found[name]])
        return found
    for name in args.networks:
        found[name] = work / name
        narrow = ["--set", f"generator.ngf={args.ngf}", "--set", f"discriminator.ndf={args.ngf}"] if args.ngf else []
        must([args.gan_cli, "train", *NETWORKS[name], *narrow, "--set", "max_steps=1", "--set", "max_dataset_size=1", "--set", "workers=0", "--out", found[name]])
    return found


def torch_one(name, width, height):
    """One forward pass of PyTorch, in this process."""
    import torch

    net = torch_networks()[name]().eval()
    if name in LABELLED:
        x = torch.zeros(1, LABELS + 1, height, width)
        x[:, :LABELS].scatter_(1, torch.randint(0, LABELS, (1, 1, height, width)), 1.0)
    else:
        x = torch.rand(1, 3, height, width) * 2 - 1
    start = time.perf_counter()
    with torch.inference_mode():
        y = net(x)
    print(json.dumps({"seconds": time.perf_counter() - start, "shape": list(y.shape)}))


def size(text):
    sides = [int(side) for side in text.split("x")]
    return (sides[0], sides[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gan-cli", default="target/release/gan-cli")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", type=size, default=[(1024, 1024), (2048, 2048)])
    parser.add_argument("--limits", nargs="+", default=["none", "1GiB"])
    parser.add_argument("--ngf", type=int, help="filters of the first layer, for narrow networks, without PyTorch; 64 (32 of local) unless set")
    parser.add_argument("--rounds", type=int, default=1, help="all of it so often, in turns")
    parser.add_argument("--scratch", help="folder of files for what memory has no room for")
    parser.add_argument("--work", help="folder for models, images and results; one in the system's place for temporary files unless set")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--torch-seconds", type=float, default=1800, help="PyTorch is ended after so long")
    parser.add_argument("--json", help="write all figures into this file")
    parser.add_argument("--torch-one", nargs=3, metavar=("NETWORK", "WIDTH", "HEIGHT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_one:
        torch_one(args.torch_one[0], *map(int, args.torch_one[1:]))
        return
    args.gan_cli = os.path.abspath(args.gan_cli)
    args.torch = not args.no_torch and not args.ngf and has_torch()
    if not args.no_torch and not args.ngf and not args.torch:
        print("PyTorch is not installed: it is left out")
    with tempfile.TemporaryDirectory(prefix="large-", dir=args.work) as work:
        figures = measure(args, Path(work))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


HEADER = f"{'network':8} {'size':>11} {'limit':>8} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9} {'B/pixel':>8}  plan"


def measure(args, work):
    found = models(args, work)
    photos, figures, hashes = {}, [], {}
    of_labels = [name in LABELLED for name in args.networks]
    wanted = {photo: not all(of_labels), labels: any(of_labels), instances: any(of_labels)}
    for width, height in args.sizes:
        photos[width, height] = [work / f"{make.__name__}-{width}x{height}.png" for make in wanted]
        for (make, needed), path in zip(wanted.items(), photos[width, height]):
            if needed:
                make(path, width, height)
    print(f"{os.cpu_count()} processors\n{HEADER}")
    for _ in range(args.rounds):
        for name in args.networks:
            for (width, height), (image, map_, ids) in photos.items():
                if args.torch:
                    command = [sys.executable, __file__, "--torch-one", name, width, height]
                    report(figures, name, (width, height), "PyTorch", run(command, args.torch_seconds), None)
                labelled = name in LABELLED
                for limit in args.limits:
                    output = work / "out.png"
                    command = [args.gan_cli, "translate", found[name], map_ if labelled else image, output]
                    command += ["--inst", ids] if labelled else []
                    command += ["--max-memory", limit] if limit != "none" else []
                    command += ["--scratch", args.scratch] if args.scratch else []
                    *_, code, text, errors = run([*command, "--plan", "--json"])
                    if code != 0:
                        print(f"{name:8} {width:>5}x{height:<5} {limit:>8} {errors.strip().splitlines()[-1]}")
                        continue
                    plan = json.loads(text)["plans"][0]
                    if not report(figures, name, (width, height), limit, run(command), plan):
                        continue
                    content = digest(output)
                    output.unlink()
                    if hashes.setdefault((name, width, height), content) != content:
                        sys.exit(f"{name} at {width}x{height} within {limit} differs from the result of another limit")
    return figures


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def report(figures, name, size, limit, ran, plan):
    """Prints a line; whether the process came to its end."""
    wall, cpu, peak, code, text, errors = ran
    line = f"{name:8} {size[0]:>5}x{size[1]:<5} {limit:>8}"
    if code != 0:
        last = (errors.strip().splitlines() or [""])[-1]
        print(f"{line} {'ended by signal ' + str(-code) if code < 0 else last}", flush=True)
        return False
    figure = {"network": name, "width": size[0], "height": size[1], "limit": limit, "wall_s": wall, "cpu_s": cpu, "peak_mib": peak, "plan": plan}
    said = ""
    if plan:
        files, moved = plan["scratch_bytes"] / 2**30, plan["moved_bytes"] / 2**30
        said = f"{plan['memory_bytes'] / 2**20:.0f} MiB, {plan['seconds']:.0f} s, {plan['sweeps']} sweeps, files {files:.2f} GiB, moved {moved:.1f} GiB"
    else:
        figure["network_s"] = json.loads(text.splitlines()[-1])["seconds"]
        said = f"the network alone {figure['network_s']:.1f} s"
    figures.append(figure)
    print(f"{line} {wall:8.1f} {cpu:8.1f} {peak:9.0f} {peak * 2**20 / size[0] / size[1]:8.0f}  {said}", flush=True)
    return True


if __name__ == "__main__":
    main()
