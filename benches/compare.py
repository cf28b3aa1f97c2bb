#!/usr/bin/env python3
"""Compares `gan-cli bench` with PyTorch, ONNX Runtime, OpenVINO and ncnn: whole training steps and translations, in turns.

    cargo build --release
    pip install torch onnx onnxruntime openvino ncnn
    python benches/compare.py                       # every case of docs/benchmarks.md
    python benches/compare.py --quick               # four cases, under five minutes
    python benches/compare.py step-pix2pix --size 256 256 --pairs 7

For every case all variants of PyTorch are tried first; the fastest takes part. Then all programs stand ready at the
same time and do one run each in turn, so that whatever else the machine does hits all. A ratio is our median over
another's: that of PyTorch's best variant, and the smallest of all; below 1 this project is faster. An engine that is not installed or
cannot convert the network is named on standard error and left out. Memory is the most that each process had resident.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ENGINES = ["onnxruntime", "openvino", "ncnn"]
HERE = Path(__file__).resolve().parent
TABLE = [
    ("infer-resnet9", 256, 256, 1), ("infer-unet256", 256, 256, 1), ("infer-global", 256, 512, 1), ("infer-global", 512, 1024, 1),
    ("step-pix2pix", 256, 256, 1), ("step-pix2pix", 256, 256, 4), ("step-cyclegan", 256, 256, 1), ("step-pix2pixhd", 256, 512, 1),
    ("step-pix2pix", 64, 64, 1), ("step-pix2pix", 128, 128, 1), ("step-cyclegan", 64, 64, 1), ("step-cyclegan", 128, 128, 1),
    ("step-pix2pixhd", 64, 128, 1), ("step-cut", 256, 256, 1), ("step-fastcut", 256, 256, 1),
]

QUICK = [("infer-resnet9", 256, 256, 1), ("infer-unet256", 256, 256, 1), ("step-pix2pix", 256, 256, 1), ("step-cyclegan", 128, 128, 1)]

# Seconds before every turn. Idle threads may look for work for a while after a turn, at the expense of the next program.
PAUSE = 0.3


class Program:
    """One side, started and warmed up; `turn` does one counted run."""

    def __init__(self, command, case, size, batch, device, runs, warmup):
        shape = ["--size", *map(str, size), "--batch", str(batch)]
        rest = ["--device", device, "--runs", str(runs), "--warmup", str(warmup), "--paced", "--json"]
        self.process = subprocess.Popen([*command, *case, *shape, *rest], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while (line := self.process.stdout.readline()) != "ready\n":
            if not line:
                raise RuntimeError(f"{command} ended before its first run")

    def turn(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def report(self):
        self.process.stdin.close()
        return json.loads(self.process.stdout.read().splitlines()[-1])


def ours(a, case, runs, warmup):
    name, h, w, batch = case
    settings = [word for s in a.set for word in ("--set", s)]
    return Program([a.gan_cli, "bench", *settings], ["--case", name], (h, w), batch, a.device, runs, warmup)


def torchs(a, case, variant, runs, warmup):
    name, h, w, batch = case
    command = [sys.executable, str(HERE / "pytorch.py")]
    return Program(command, [name, "--variant", variant], (h, w), batch, a.device, runs, warmup)


def variants(a, case):
    if getattr(a, "variants", None):
        return a.variants
    if a.device != "cpu":
        return ["fused", "amp", "amp_channels_last", "amp_compile"]
    if case[0].startswith("infer"):
        return ["eager", "channels_last", "compile"]
    return ["eager", "fused", "channels_last", "compile"]


def best_variant(a, case):
    """The variant with the smallest of a few times; one that cannot run here is not the best."""
    found = {}
    candidates = [a.variant] if a.variant else variants(a, case)
    if len(candidates) == 1:
        return candidates[0], found
    for variant in candidates:
        try:
            program = torchs(a, case, variant, a.tries, 1)
            found[variant] = min(program.turn() for _ in range(a.tries))
            program.report()
        except (RuntimeError, ValueError) as error:
            print(f"  {variant}: {error}", file=sys.stderr)
    return min(found, key=found.get), found


def compare(a, case):
    best, tried = best_variant(a, case)
    sides = {"gan-cli": ours(a, case, a.pairs, a.warmup), best: torchs(a, case, best, a.pairs, a.warmup)}
    if case[0].startswith("infer") and a.device == "cpu":
        for engine in a.engines:
            try:
                sides[engine] = torchs(a, case, engine, a.pairs, a.warmup)
            except RuntimeError as error:
                print(f"  {engine}: {error}", file=sys.stderr)
    times = {name: [] for name in sides}
    for _ in range(a.pairs):
        for name, side in sides.items():
            time.sleep(PAUSE)
            times[name].append(side.turn())
    reports = {name: side.report() for name, side in sides.items()}
    median = {name: statistics.median(t) for name, t in times.items()}
    first = min((name for name in sides if name != "gan-cli"), key=median.get)
    result = dict(
        case=case[0], size=case[1:3], batch=case[3], pairs=a.pairs, best=best, ratio=round(median["gan-cli"] / median[best], 3),
        ratio_of_minima=round(min(times["gan-cli"]) / min(times[best]), 3), memory_ratio=None,
        best_of_all=first, ratio_of_all=round(median["gan-cli"] / median[first], 3),
        ours=reports["gan-cli"], torch=reports[best], engines={name: reports[name] for name in a.engines if name in reports}, tried_ms={v: round(t, 1) for v, t in tried.items()})
    if reports["gan-cli"].get("peak_mib") and reports[best].get("peak_mib"):
        result["memory_ratio"] = round(reports["gan-cli"]["peak_mib"] / reports[best]["peak_mib"], 3)
    return result


def engines_of(words):
    return [] if words == "none" else words.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", help="one case; without it the whole table")
    parser.add_argument("--size", type=int, nargs=2, default=[256, 256])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--tries", type=int, default=2, help="runs of each variant when the best one is looked for")
    parser.add_argument("--variant", help="PyTorch's variant, instead of its best one")
    parser.add_argument("--engines", type=engines_of, default=ENGINES, help="those beside PyTorch in translations, with commas between; none for none")
    parser.add_argument("--quick", action="store_true", help="four cases, PyTorch's variants that were fastest before, three pairs")
    parser.add_argument("--set", action="append", default=[], help="a setting of our training steps, key=value")
    parser.add_argument("--gan-cli", default=str(HERE.parent / "target" / "release" / "gan-cli"))
    parser.add_argument("--json", help="append every result to this file, one JSON object a line")
    a = parser.parse_args()
    if a.quick:
        a.pairs, a.warmup = min(a.pairs, 3), 1
    print("| case | PyTorch's best, ms | ONNX Runtime, ms | OpenVINO, ms | ncnn, ms | gan-cli, ms | ratio to PyTorch | of minima | to the best of all | memory, MiB | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case in [(a.case, *a.size, a.batch)] if a.case else QUICK if a.quick else TABLE:
        if a.quick and not a.variant:
            a.variants = ["channels_last" if case[0].startswith("infer") else "fused"]
        r = compare(a, case)
        if a.json:
            with open(a.json, "a") as file:
                print(json.dumps(r), file=file)
        name = f"{r['case']} {case[2]}x{case[1]}" + (f" batch {case[3]}" if case[3] > 1 else "")
        others = " | ".join(f"{r['engines'][e]['median_ms']:.0f}" if e in r["engines"] else "" for e in ENGINES)
        memory = f"{r['ours']['peak_mib']} / {r['torch']['peak_mib']}"
        print(
            f"| {name} | {r['torch']['median_ms']:.0f} ({r['best']}) | {others} | {r['ours']['median_ms']:.0f} | {r['ratio']:.2f} |"
            f" {r['ratio_of_minima']:.2f} | **{r['ratio_of_all']:.2f}** ({r['best_of_all']}) | {memory} | {r['memory_ratio']} |", flush=True)


if __name__ == "__main__":
    main()
