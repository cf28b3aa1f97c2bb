#!/usr/bin/env python3
"""Everything that needs a GPU, in one go: the tests of the operators and of parity with PyTorch on the device, training through NCCL with
as many processes as there are GPUs, or one, large images in bands, then whole training steps and translations beside PyTorch. Writes
gpu-check.json and gpu-check.md.

    cargo xtask gpu-check pack DIR      # on a machine with Rust and a CUDA toolkit
    DIR/run [OPTIONS]                   # on the machine with the GPU: Python 3.9, a driver, CUDA libraries (PyTorch's do)

Results are written after every part, so that a run that is cut off leaves what it found. Without a GPU it says so.
PyTorch takes part if it can be imported; `--variants` chooses what its best is looked for among (torch.compile takes
minutes for each case). Exit code: 0 if all tests passed, 1 if not, 5 without a GPU.
"""
import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import compare  # noqa: E402
import large  # noqa: E402
import nccl_check  # noqa: E402

VARIANTS = ["amp", "amp_channels_last", "amp_compile", "fused"]
# Case, height, width, batch, more settings, ratio to reach, milliseconds to reach.
TABLE = [
    ("step-cyclegan", 256, 256, 1, [], 0.70, 20),
    ("step-pix2pix", 256, 256, 1, [], 0.60, 6),
    ("step-pix2pix", 256, 256, 16, [], 0.80, None),
    ("step-pix2pixhd", 512, 1024, 1, [], 0.75, 50),
    ("infer-resnet9", 256, 256, 1, [], 0.50, None),
    ("infer-resnet9", 256, 256, 8, [], 0.80, None),
]
# Ours alone: the largest training step of the papers.
LARGEST = ("step-pix2pixhd", 1024, 2048, 1, ["generator.arch=local", "ngf=32", "num_d=3"])


def library_folders():
    """Where CUDA's libraries may be: PyTorch's wheels first, then a toolkit."""
    spec = importlib.util.find_spec("nvidia")
    roots = spec.submodule_search_locations if spec else []
    wheels = [str(p) for root in roots for p in sorted(Path(root).glob("*/lib"))]
    return wheels + ["/usr/local/nvidia/lib64", "/usr/local/cuda/lib64"]


def environment(a):
    """Ours: the libraries of PyTorch's wheels if nothing else is set; the device for the tests."""
    env = dict(os.environ)
    folders = ":".join(library_folders())
    for name in ("GAN_CUDA_LIBRARY_PATH", "CUSHIM_LIBRARY_PATH"):
        env.setdefault(name, folders)
    env["LD_LIBRARY_PATH"] = ":".join(filter(None, [folders, env.get("LD_LIBRARY_PATH")]))
    env["GAN_TEST_DEVICE"] = a.device
    env["GAN_PARITY_DIR"] = str(HERE.parent / "tests" / "fixtures" / "parity")
    return env


def unpack(root):
    """The programs, from the archive that lies beside them."""
    archive, bin_ = root / "programs.tar.gz", root / "bin"
    if archive.exists() and not bin_.exists():
        part = root / "bin.part"
        with tarfile.open(archive) as tar:
            tar.extractall(part)
        part.rename(bin_)
    return bin_


def gpu(a, gan_cli, env):
    """None if a small training step runs on the device, else why not."""
    command = [gan_cli, "bench", "--case", "infer-resnet9", "--size", "32", "32", "--runs", "1", "--warmup", "0", "--device", a.device]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")


def about(a):
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        smi = subprocess.run(query, capture_output=True, text=True, timeout=60).stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired):
        smi = []
    found = {"gpus": smi, "device": a.device, "time": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())}
    if importlib.util.find_spec("torch"):
        import torch

        found.update(torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return found


def run_tests(a, bin_, env, report, write):
    """One test program after the other; each ends with `test result: …` lines."""
    for program in sorted((bin_ / "tests").iterdir()):
        if a.test and not any(word in program.name for word in a.test):
            continue
        start = time.monotonic()
        try:
            done = subprocess.run([program, "--test-threads=1"], env=env, capture_output=True, text=True, timeout=a.test_minutes * 60, cwd=HERE.parent)
            text, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            text, code = (late.stdout or b"").decode(errors="replace") + "\nit took too long and was ended", None
        counts = re.findall(r"test result: \w+\. (\d+) passed; (\d+) failed", text)
        result = dict(
            program=program.name, ok=code == 0, code=code, seconds=round(time.monotonic() - start, 1),
            passed=sum(int(p) for p, _ in counts), failed=sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M))))
        if not result["ok"]:
            result["output"] = text[-20000:]
        report["tests"].append(result)
        print(f"  {program.name}: " + (f"{result['passed']} passed" if result["ok"] else f"FAILED {result['failed'] or code}"), flush=True)
        write()


def run_nccl(a, gan_cli, report, write):
    """Bits of training through NCCL against those of one process; see nccl_check.py."""
    ranks = nccl_check.gpus() if a.device == "cuda" else 1
    for name, wrong in nccl_check.checks(argparse.Namespace(gan_cli=str(gan_cli), ranks=ranks, device=a.device)):
        report["nccl"].append(dict(check=name, ok=wrong is None, output=wrong))
        print(f"  {name}: {wrong or 'as it should be'}", flush=True)
        write()


def levels(path):
    """The samples of a PPM file of 8 bits."""
    content = path.read_bytes()
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", content)
    return content[header.end():]


def run_large(a, gan_cli, report, write):
    """Images that the device's memory has no room for at once: within half of that memory, and within a third, they are those of all at once but for a
    level."""
    def ran(*command):
        start = time.monotonic()
        done = subprocess.run([str(word) for word in (gan_cli, *command)], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
        return done.stdout, round(time.monotonic() - start, 1)

    for network in large.NETWORKS:
        with tempfile.TemporaryDirectory(prefix="large-") as work:
            work, result = Path(work), dict(network=network, side=a.large_side, runs=[])
            try:
                model, image, ids = work / "model", work / "image.png", work / "ids.png"
                labelled = network in large.LABELLED
                (large.labels if labelled else large.photo)(image, a.large_side, a.large_side)
                large.instances(ids, a.large_side, a.large_side)
                few = ["max_steps=1", "max_dataset_size=1", "workers=0"]
                ran("train", *large.NETWORKS[network], *(word for text in few for word in ("--set", text)), "--out", model)
                translate = ["translate", model, image, "--device", a.device, *(["--inst", ids] if labelled else [])]
                _, result["at_once_s"] = ran(*translate, work / "whole.ppm", "--max-memory", "100GiB")
                whole = levels(work / "whole.ppm")
                plan = json.loads(ran(*translate, work / "none.ppm", "--max-memory", "100GiB", "--plan", "--json")[0])["plans"][0]
                for part in (2, 3):
                    limit = plan["memory_at_once_bytes"] // part
                    within = [*translate, work / "bands.ppm", "--max-memory", limit]
                    banded = json.loads(ran(*within, "--plan", "--json")[0])["plans"][0]
                    _, seconds = ran(*within)
                    bands = levels(work / "bands.ppm")
                    far = max((abs(x - y) for x, y in zip(whole, bands)), default=255) if len(whole) == len(bands) else 255
                    run = dict(limit_mib=limit >> 20, seconds=seconds, planned_mib=banded["memory_bytes"] >> 20, moved_mib=banded["moved_bytes"] >> 20)
                    result["runs"].append(dict(run, at_once=banded["at_once"], levels_apart=far))
                result["ok"] = all(not run["at_once"] and run["levels_apart"] <= 1 for run in result["runs"])
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                result.update(ok=False, error=str(error))
            report["large"].append(result)
            print(f"  {large_row(result)}", flush=True)
            write()


def large_row(r):
    name = f"{r['network']} {r['side']}x{r['side']}"
    if "error" in r:
        return f"| {name} | failed: {r['error']} | | | |"
    rows = [f"{run['limit_mib']} MiB: {run['seconds']} s, {run['levels_apart']} levels apart, {run['moved_mib']} MiB moved" for run in r["runs"]]
    return f"| {name} | {r['at_once_s']} | {' | '.join(rows)} | {'' if r['ok'] else '**wrong**'} |"


def options(a, gan_cli, settings):
    return argparse.Namespace(
        gan_cli=str(gan_cli), device=a.device, set=settings, variant=None, variants=a.variants, tries=a.tries, pairs=a.pairs,
        warmup=a.warmup, engines=[])


def alone(a, gan_cli, case, settings):
    """Our time without PyTorch beside it."""
    side = compare.ours(options(a, gan_cli, settings), case, a.pairs, a.warmup)
    for _ in range(a.pairs):
        side.turn()
    return dict(case=case[0], size=case[1:3], batch=case[3], best=None, ratio=None, memory_ratio=None, ours=side.report())


def one_by_one(a, gan_cli, case, settings, beside):
    """Our time without CUDA graphs, measured alone, against the figures of `beside`."""
    run = alone(a, gan_cli, case, [*settings, "cuda_graphs=false"])
    torch, ours = beside.get("torch"), run["ours"]
    if torch:
        run.update(torch=torch, best=beside["best"], ratio=round(ours["median_ms"] / torch["median_ms"], 3))
        if ours.get("peak_mib") and torch.get("peak_mib"):
            run["memory_ratio"] = round(ours["peak_mib"] / torch["peak_mib"], 3)
    return run


def run_benches(a, gan_cli, report, write):
    torch = importlib.util.find_spec("torch") is not None and not a.no_torch
    rows = [(row[:4], row[4], row[5], row[6], torch) for row in TABLE] + [(LARGEST[:4], LARGEST[4], None, None, False)]
    for case, more, ratio, ms, beside in rows:
        if a.case and case[0] not in a.case:
            continue
        settings = [f"precision={a.precision}", *more]
        first = {}
        # Once more without graphs, which give the same results in less time.
        for graphs in [True, False]:
            try:
                if not graphs:
                    run = one_by_one(a, gan_cli, case, settings, first)
                else:
                    run = compare.compare(options(a, gan_cli, settings), case) if beside else alone(a, gan_cli, case, settings)
                    first = run
            except (RuntimeError, ValueError, OSError) as error:
                run = dict(case=case[0], size=case[1:3], batch=case[3], error=str(error))
            run.update(settings=settings, graphs=graphs, reach=dict(ratio=ratio, ms=ms))
            report["benches"].append(run)
            print(f"  {row_of(run)}", flush=True)
            write()


def row_of(r):
    name = f"{r['case']} {r['size'][1]}x{r['size'][0]} batch {r['batch']}" + ("" if r.get("graphs", True) else ", no CUDA graphs")
    if "error" in r:
        return f"| {name} | failed: {r['error']} | | | | | |"
    ours, torch, reach = r["ours"], r.get("torch"), r["reach"]
    theirs = f"{torch['median_ms']:.2f} ({r['best']})" if torch else "not measured"
    wanted = ", ".join(filter(None, [reach["ratio"] and f"{reach['ratio']:.2f}", reach["ms"] and f"{reach['ms']} ms"]))
    memory = f"{ours['peak_mib']} / {torch['peak_mib']}" if torch else str(ours["peak_mib"])
    ratio = "" if r["ratio"] is None else f"**{r['ratio']:.2f}**"
    return f"| {name} | {theirs} | {ours['median_ms']:.2f} | {ratio} | {wanted} | {memory} | {r['memory_ratio'] or ''} |"


def markdown(report):
    lines = ["# GPU check", ""] + [f"- {key}: {value}" for key, value in report["about"].items()]
    if report.get("refused"):
        return "\n".join([*lines, "", f"**Nothing was checked**: {report['refused']}", ""])
    lines += ["", "| test program | passed | failed | seconds |", "|---|---|---|---|"]
    lines += [f"| {t['program']} | {t['passed']} | {', '.join(t['failed']) or ('' if t['ok'] else 'did not end well')} | {t['seconds']} |" for t in report["tests"]]
    lines += ["", "| through NCCL | |", "|---|---|"]
    lines += [f"| {n['check']} | {'as it should be' if n['ok'] else 'wrong'} |" for n in report["nccl"]]
    if report["large"]:
        lines += ["", "| large image | at once, s | in half of the memory | in a third | |", "|---|---|---|---|---|"]
        lines += [large_row(r) for r in report["large"]]
    lines += ["", "| case | PyTorch's best, ms | gan-cli, ms | ratio | to reach | memory, MiB | ratio |", "|---|---|---|---|---|---|---|"]
    return "\n".join(lines + [row_of(r) for r in report["benches"]] + [""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path.cwd(), help="folder for gpu-check.json and gpu-check.md")
    parser.add_argument("--only", choices=["tests", "nccl", "large", "benches"])
    parser.add_argument("--large-side", type=int, default=2048, help="of the images that are computed in bands")
    parser.add_argument("--test", action="append", help="only test programs whose name contains this")
    parser.add_argument("--case", action="append", help="only benchmarks of this case")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--variants", nargs="*", default=VARIANTS, help="of benches/pytorch.py, for PyTorch's best")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--test-minutes", type=float, default=10)
    a = parser.parse_args()
    env = environment(a)
    os.environ.update(env)
    bin_ = unpack(HERE.parent)
    gan_cli = bin_ / "gan-cli"
    report = dict(about=about(a), tests=[], nccl=[], large=[], benches=[])
    a.out.mkdir(parents=True, exist_ok=True)

    def write():
        for name, text in (("gpu-check.json", json.dumps(report, indent=1)), ("gpu-check.md", markdown(report))):
            part = a.out / (name + ".part")
            part.write_text(text)
            part.rename(a.out / name)

    report["refused"] = gpu(a, gan_cli, env)
    write()
    if report["refused"]:
        print(f"no GPU can be used here, so nothing was checked: {report['refused']}", file=sys.stderr)
        return 5
    if a.only in (None, "tests"):
        print("tests:", flush=True)
        run_tests(a, bin_, env, report, write)
    if a.only in (None, "nccl") and (bin_ / "tests" / "nccl").exists():
        print("training through NCCL:", flush=True)
        run_nccl(a, gan_cli, report, write)
    if a.only in (None, "large"):
        print("large images:", flush=True)
        run_large(a, gan_cli, report, write)
    if a.only in (None, "benches"):
        print("benchmarks:", flush=True)
        run_benches(a, gan_cli, report, write)
    print(f"written: {a.out / 'gpu-check.json'}, {a.out / 'gpu-check.md'}")
    return 0 if all(t["ok"] for t in report["tests"] + report["nccl"] + report["large"]) else 1


if __name__ == "__main__":
    sys.exit(main())
