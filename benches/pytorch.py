#!/usr/bin/env python3
"""PyTorch's time for what `gan-cli bench` times: the same networks and training steps (tests/oracle), the same cases.

    pip install torch
    python benches/pytorch.py step-cyclegan --size 256 256 [--batch 1] [--device cpu|cuda] [--variant eager] [--runs 5] [--json]

Variants: eager; fused (fused Adam); channels_last (with fused Adam); compile (torch.compile, fused Adam); amp,
amp_channels_last and amp_compile (bf16 autocast; the last with channels_last and torch.compile); onnxruntime, openvino and ncnn
(translations on the CPU only: the network in another engine, see benches/engines.py; pip install onnx onnxruntime openvino ncnn).
Images lie in memory; nothing is loaded. With --paced a run waits for a line on standard input and answers with its
milliseconds, so that benches/compare.py can let two programs take turns.
"""
import argparse
import json
import math
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "oracle"))

import torch  # noqa: E402

import engines  # noqa: E402
import nets  # noqa: E402
import steps  # noqa: E402

LABELS = 35
CASES = ["infer-resnet9", "infer-unet256", "infer-global", "infer-local", "step-pix2pix", "step-cyclegan", "step-pix2pixhd", "step-cut", "step-fastcut"]
VARIANTS = ["eager", "fused", "channels_last", "compile", "amp", "amp_channels_last", "amp_compile", *engines.ENGINES]


def images(a):
    return (torch.rand(a.batch, 3, *a.size) * 2 - 1).to(a.device)


def condition(a):
    """One-hot labels of square regions and a plane for edges."""
    h, w = a.size
    labels = torch.randint(0, LABELS, (a.batch, 1, -(-h // 8), -(-w // 8)))
    labels = labels.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, :, :h, :w]
    planes = torch.zeros(a.batch, LABELS, h, w).scatter_(1, labels, 1.0)
    return torch.cat([planes, torch.zeros(a.batch, 1, h, w)], 1).to(a.device)


def adam(fused):
    """The oracle's optimizer, or the same with one kernel for the whole update."""
    return lambda params, lr=2e-4, beta1=0.5: torch.optim.Adam(params, lr=lr, betas=(beta1, 0.999), fused=fused or None)


def build(a):
    """The networks, one run as a function of the data, and the data."""
    downs = min(8, int(math.log2(min(a.size))))
    if a.case.startswith("infer"):
        make = {
            "infer-resnet9": lambda: nets.ResnetGenerator(),
            "infer-unet256": lambda: nets.UnetGenerator(num_downs=downs),
            "infer-global": lambda: nets.GlobalGenerator(LABELS + 1),
            "infer-local": lambda: nets.LocalEnhancer(LABELS + 1, n_down_global=4),
        }[a.case]
        net = make().to(a.device).eval()
        return [net], net, (condition(a) if a.case in ("infer-global", "infer-local") else images(a),)
    if a.case == "step-pix2pix":
        modules = [nets.UnetGenerator(num_downs=downs, dropout=True), nets.PatchDiscriminator(6)]
        method, data = steps.Pix2Pix, (images(a), images(a))
    elif a.case == "step-cyclegan":
        modules = [nets.ResnetGenerator() for _ in range(2)] + [nets.PatchDiscriminator(3, norm="instance") for _ in range(2)]
        method, data = steps.CycleGan, (images(a), images(a))
    elif a.case in ("step-cut", "step-fastcut"):
        modules = [nets.ResnetGenerator(antialias=True, antialias_up=True), nets.PatchDiscriminator(3, norm="instance", antialias=True)]
        modules.append(nets.PatchSample([3, 128, 256, 256, 256]))
        method, data = (steps.FastCut if a.case == "step-fastcut" else steps.Cut), (images(a), images(a))
    else:
        modules = [nets.GlobalGenerator(LABELS + 1), nets.MultiscaleDiscriminator(LABELS + 4, num_d=2), nets.Vgg19Slices()]
        modules[2].requires_grad_(False)
        method, data = steps.Pix2PixHd, (condition(a), images(a))
    for module in modules:
        module.to(a.device)
    return modules, method(*modules).step, data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--size", type=int, nargs=2, default=[256, 256])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variant", default="eager", choices=VARIANTS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    if a.device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    steps.adam = adam(a.variant != "eager")
    modules, run, data = build(a)
    if "channels_last" in a.variant or a.variant == "amp_compile":
        for module in modules:
            module.to(memory_format=torch.channels_last)
        data = tuple(x.to(memory_format=torch.channels_last) for x in data)
    if a.variant.endswith("compile"):
        for module in modules:
            module.compile()
    if a.variant in engines.ENGINES:
        if not a.case.startswith("infer") or a.device != "cpu":
            parser.error(f"{a.variant} is for translations on the CPU")
        try:
            run = engines.engine(a.variant, modules[0], data[0], torch.get_num_threads())
        except RuntimeError as error:
            sys.exit(str(error))
        # It has weights of its own.
        data = tuple(x.numpy() for x in data)
        modules.clear()
    cuda = a.device.startswith("cuda")
    autocast = torch.autocast("cuda" if cuda else "cpu", dtype=torch.bfloat16, enabled=a.variant.startswith("amp"))

    def once():
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        with autocast, torch.inference_mode(a.case.startswith("infer")):
            run(*data)
        if cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3

    for _ in range(a.warmup):
        once()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    if a.paced:
        print("ready", flush=True)
    for _ in range(a.runs):
        if a.paced and not sys.stdin.readline():
            break
        times.append(once())
        if a.paced:
            print(f"{times[-1]:.3f}", flush=True)
    if not times:
        return
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = dict(
        case=a.case, size=a.size, batch=a.batch, device=a.device, variant=a.variant, threads=torch.get_num_threads(),
        median_ms=round(statistics.median(times), 3), min_ms=round(min(times), 3), max_ms=round(max(times), 3),
        runs=len(times), peak_mib=round(peak / 2**20), torch=torch.__version__)
    print(json.dumps(report) if a.json else report)


if __name__ == "__main__":
    main()
