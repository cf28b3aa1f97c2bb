#!/usr/bin/env python3
"""Compares two processes of one thread each with one process of two threads that accumulates as many batches: updates of real networks at 256x256.

    cargo build --release -p gan-cli --features mpi
    python3 benches/ranks.py [--gan-cli target/release/gan-cli] [--pairs 3] [--updates 6] [--case cyclegan] [--set KEY=VALUE]

Needs Open MPI. Both sides train the same run on drawn images, in turns, so that other load on the machine hits both. An update's time is that between
two events of events.jsonl; the first two updates of a run are left out. A figure is the median over all runs of a side. Overhead is what
two processes take more than one, by the medians of a pair: the median of the pairs, the smallest and the largest.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODES = {"cyclegan": "unpaired", "pix2pix": "facades"}
WARM_UP = 2


def updates(run):
    """Seconds of each update of a run, after the first ones."""
    events = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    times = [event["time"] for event in events if event["event"] == "progress"]
    return [after - before for before, after in zip(times[WARM_UP - 1:], times[WARM_UP:])]


def train(program, case, run, ranks, args):
    settings = [f"data.mode={MODES[case]}", f"max_steps={args.updates + WARM_UP}", "print_freq=1", "display_freq=0",
                f"train.accumulate={2 // ranks}", *args.set]
    command = [program, "train", case, "--out", run, *(word for setting in settings for word in ("--set", setting))]
    if ranks > 1:
        command = ["mpirun", "--bind-to", "core", "-n", str(ranks), *command]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(2 // ranks), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return updates(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gan-cli", default="target/release/gan-cli", type=Path)
    parser.add_argument("--case", choices=MODES, action="append")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    program = args.gan_cli.resolve()
    print("| update of two batches | one process, s | two processes, s | overhead | of the pairs |\n|---|---|---|---|---|")
    for case in args.case or MODES:
        seconds, overheads = {1: [], 2: []}, []
        for pair in range(args.pairs):
            of_pair = []
            for ranks, of_side in seconds.items():
                with tempfile.TemporaryDirectory() as folder:
                    times = train(program, case, Path(folder) / "run", ranks, args)
                of_side += times
                of_pair.append(statistics.median(times))
            overheads.append(100 * (of_pair[1] / of_pair[0] - 1))
            print(f"{case}, pair {pair + 1}: {of_pair[0]:.3f} and {of_pair[1]:.3f} s, {overheads[-1]:+.1f} %", file=sys.stderr, flush=True)
        one, two = map(statistics.median, seconds.values())
        overhead = statistics.median(overheads)
        print(f"| {case} 256x256 | {one:.3f} | {two:.3f} | {overhead:+.0f} % | {min(overheads):+.0f} to {max(overheads):+.0f} % |", flush=True)


if __name__ == "__main__":
    main()
