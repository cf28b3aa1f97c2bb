#!/usr/bin/env python3
"""Gives the files of make_foreign_weights.py to gan-cli: run_foreign_weights.py GAN_CLI DIR [--table FILE] [--damage N] (needs numpy and Pillow).

Images have to be PyTorch's to one level, words those of cases.json, every remedy by --entry has to work. Prints a line a failure and
the counts; --table writes the table of docs/weights.md. With --damage, files with bytes changed or cut off are read instead, N times:
each has to be listed or refused, within seconds and 2 GiB.
"""
import argparse
import collections
import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("cli")
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--table", type=pathlib.Path)
parser.add_argument("--damage", type=int, metavar="N")
args = parser.parse_args()
folder = args.folder


def run(*line):
    done = subprocess.run([args.cli, *line], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def levels(path):
    return np.asarray(Image.open(path)).astype(int)


def difference(path, expected):
    ours, theirs = levels(path), levels(expected)
    return np.abs(ours - theirs).max() if ours.shape == theirs.shape else 255


def told(case, said):
    """What of the notes belongs into the table."""
    lines = [line for line in said.splitlines() if line.strip()]
    if case["expect"] == "refused":
        text = next(line for line in lines if line.startswith("because:")) if any(line.startswith("because:") for line in lines) else lines[0]
        return text.replace("error: ", "").replace("because: ", "").replace(str(folder / case["file"]) + ": ", "").replace(str(folder) + "/", "")
    return ""


def check(case, scratch):
    """Problems of a case, its result, and what was said."""
    file = str(folder / case["file"])
    options = [str(folder / word) if word == "keys.toml" else word for word in case["args"]]
    problems = []
    if case["expect"] == "listed":
        code, out, said = run("summary", file)
        problems += [f"not listed: {word}" for word in case["words"] if word not in out]
        return problems + ([f"exit {code}: {said}"] if code else []), "listed", said
    output = scratch / "out.png"
    output.unlink(missing_ok=True)
    code, _, said = run("translate", "--model", file, "--input", str(folder / case["input"]), "--output", str(output), *options)
    if case["expect"] == "refused":
        problems += [f"exit {code}"] if code != 4 else []
        problems += [f"not said: {word}" for word in case["words"] if word not in said]
        problems += ["an image was written"] if output.exists() else []
        if "advice" in case:
            code, _, again = run("translate", "--model", file, "--input", str(folder / case["input"]), "--output", str(output), "--entry", case["advice"])
            problems += [f"--entry {case['advice']}: {again}"] if code else []
        return problems, "asks" if "advice" in case else "refused", said
    if code:
        return [f"exit {code}: {said}"], "translated", said
    worst = difference(output, folder / case["image"])
    problems += [f"{worst} levels"] if worst > 1 else []
    mapped = "matched by their order" in said
    problems += [] if mapped == case.get("mapped", mapped) else ["mapped" if mapped else "not mapped"]
    listed, out, _ = run("summary", file)
    problems += ["summary fails"] if listed or " tensors, " not in out else []
    return problems, "mapped" if mapped else "read", said


def damage(cases, count):
    """Reads damaged copies; returns how many were listed, how many refused, and what went wrong."""
    codes, wrong = collections.Counter(), []
    dice = random.Random(1)
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # noqa: E731
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "damaged.pth"
        for at in range(count):
            case = dice.choice(cases)
            content = bytearray((folder / case["file"]).read_bytes())
            changes = []
            for _ in range(dice.choice([1, 1, 2, 8, 64]) if content else 0):
                # Headers and pickles, at either end, are what readers trip over.
                place = dice.choice([dice.randrange(len(content)), dice.randrange(min(2000, len(content))), -1 - dice.randrange(min(4000, len(content)))])
                content[place] = dice.choice([0, 255, 128, dice.randrange(256)])
                changes.append(place)
            if dice.random() < 0.1:
                del content[dice.randrange(len(content) + 1):]
            file.write_bytes(content)
            command = [["summary", str(file)], ["summary", "--model", str(file)]][at % 2]
            try:
                done = subprocess.run([args.cli, *command], capture_output=True, text=True, errors="replace", timeout=20, preexec_fn=limit)
                codes[done.returncode] += 1
                if done.returncode not in (0, 2, 4) or "panicked" in done.stderr:
                    wrong.append(f"{case['file']} {changes}: exit {done.returncode}: {done.stderr[-200:]}")
            except subprocess.TimeoutExpired:
                wrong.append(f"{case['file']} {changes}: no answer")
    return codes, wrong


cases = json.loads((folder / "cases.json").read_text())
if args.damage:
    codes, wrong = damage(cases, args.damage)
    print("\n".join(wrong))
    print(f"{args.damage} damaged files: {codes[0]} listed, {codes[2] + codes[4]} refused, {len(wrong)} failed")
    sys.exit(bool(wrong))
counts, failed, rows = collections.Counter(), 0, []
with tempfile.TemporaryDirectory() as scratch:
    for case in cases:
        try:
            problems, result, said = check(case, pathlib.Path(scratch))
        except subprocess.TimeoutExpired:
            problems, result, said = ["no answer within two minutes"], "hangs", ""
        counts[result] += 1
        failed += bool(problems)
        for problem in problems:
            print(f"{case['file']} {case['group']}: {case['kind']}: {problem.strip()}")
        options = [word for word in case["args"] if word not in ("--eval",)]
        rows.append((case, result, " ".join(options), told(case, said)))
if args.table:
    lines = []
    for group in dict.fromkeys(case["group"] for case in cases):
        refusals = group.startswith("no weights")
        lines += ["", f"### {group[0].upper()}{group[1:]}", ""]
        lines += ["| kind | origin | result |" + (" words |" if refusals else " options |"), "|---|---|---|---|"]
        for case, result, options, words in rows:
            if case["group"] == group:
                last = words if result == "refused" else f"`{options}`" if options else "asks with `--entry NAME` of each" if result == "asks" else ""
                cells = [case["kind"], case["origin"], result, last]
                lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    args.table.write_text("\n".join(lines).lstrip() + "\n")
print(f"{len(cases)} files: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) + f"; {failed} failed")
sys.exit(failed > 0)
