#!/usr/bin/env python3
"""Exports networks with gan-cli and with PyTorch's own exporter, runs both files and prints a table: check_onnx.py GAN_CLI [--quick] [--only NAME].

    pip install torch onnx onnxruntime onnxscript openvino numpy

GAN_CLI is the program. Each file passes onnx.checker (with shape inference), and is run with ONNX Runtime and OpenVINO beside PyTorch itself. Columns: size of the
file, the largest difference from PyTorch as a part of the range of values, and milliseconds of ONNX Runtime (the median of rounds in which the files take turns).
Exit code 1 if a file of gan-cli differs by more than 1e-4 (f16: 2e-2), or is slower than PyTorch's by more than 10 %.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
import torch

import nets


class Scores(torch.nn.Module):
    """The score maps of a multi-scale discriminator, finest scale first."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return [stages[-1] for stages in self.network(x)]


def cases(quick):
    """Name, network, channels of the input, height and width, options of gan-cli."""
    w = 16 if quick else 64
    side = 128 if quick else 256
    unet = dict(num_downs=7 if quick else 8, ngf=w)
    hd = dict(ngf=w // 2, n_down_global=3 if quick else 4, n_blocks_global=2 if quick else 9)
    return [
        ("resnet_9blocks", nets.ResnetGenerator(ngf=w), 3, (side, side), []),
        ("resnet_9blocks, batch norm, --eval", nets.ResnetGenerator(ngf=w, norm="batch"), 3, (side, side), ["--eval"]),
        ("resnet, anti-aliased (CUT)", nets.ResnetGenerator(ngf=w, antialias=True, antialias_up=True), 3, (side, side), []),
        ("resnet, resize-convolution", nets.ResnetGenerator(ngf=w, upsample="resize"), 3, (side, side), []),
        ("unet, batch norm, --eval", nets.UnetGenerator(**unet), 3, (256, 256), ["--eval"]),
        ("unet, instance norm", nets.UnetGenerator(norm="instance", **unet), 3, (256, 256), []),
        ("global", nets.GlobalGenerator(36, ngf=w, n_down=hd["n_down_global"], n_blocks=hd["n_blocks_global"]), 36, (side, 2 * side), ["--arch", "global"]),
        ("local", nets.LocalEnhancer(36, **hd), 36, (side, 2 * side), []),
        ("local, resize-convolution", nets.LocalEnhancer(36, upsample="resize", **hd), 36, (side, 2 * side), []),
        ("PatchGAN", nets.PatchDiscriminator(6, ndf=w, norm="instance"), 6, (side, side), []),
        ("multi-scale D", nets.MultiscaleDiscriminator(39, ndf=w), 39, (side, 2 * side), []),
    ]


def seeded(network, channels, size, seed=0):
    """Weights as in training: N(0, 0.02), norms with scales around 1; running statistics are those of images, without which a network amplifies all rounding."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_((1.0 if tensor.dim() == 1 and name.endswith("weight") else 0.0) + 0.02 * noise)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for module in norms:
            module.momentum = 0.5
        for _ in range(8 if norms else 0):
            network.train()(torch.rand(2, channels, *size, generator=generator) * 2 - 1)
    return network.eval()


def state_of(network):
    return network.network.state_dict() if isinstance(network, Scores) else network.state_dict()


def with_gan_cli(program, weights, path, size, options):
    command = [program, "export", "onnx", weights, path, "--size", *map(str, size), *options]
    env = {key: value for key, value in os.environ.items() if key != "ORT_DYLIB_PATH"}
    subprocess.run(list(map(str, command)), check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def with_pytorch(network, x, path):
    torch.onnx.export(network, (x,), str(path), dynamo=True, external_data=False, verbose=False, input_names=["input"])


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def error(expected, got):
    """The largest difference as a part of the range of each output."""
    assert len(expected) == len(got), f"{len(got)} outputs, {len(expected)} are expected"
    worst = 0.0
    for want, have in zip(expected, got):
        assert want.shape == have.shape, f"{have.shape}, {want.shape} is expected"
        span = max(float(want.max() - want.min()), 1e-6)
        worst = max(worst, float(np.abs(want - have).max()) / span)
    return worst


def with_openvino(path, x):
    import openvino

    core = openvino.Core()
    # Without a hint, processors with fast bf16 compute in it.
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result = compiled([x])
    return [np.asarray(result[output]) for output in compiled.outputs]


def timed(sessions, feed, seconds):
    """Milliseconds of each session; rounds in which they take turns, so that whatever else the machine does meets all alike."""
    times = [[] for _ in sessions]
    for run, name in sessions:
        run.run(None, {name: feed})
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for (run, name), of in zip(sessions, times):
            start = time.perf_counter()
            run.run(None, {name: feed})
            of.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(of) for of in times], [min(of) for of in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="narrow networks of small images: for correctness, not for times")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--seconds", type=float, default=10, help="how long each pair of files is timed")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, ONNX {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}, {args.threads} threads")
    print(f"{'network':36} {'file':9} {'MB':>7} {'error':>9} {'OpenVINO':>9} {'median ms':>10} {'least ms':>9}")
    failed = []
    for name, network, channels, size, options in cases(args.quick):
        if args.only not in name:
            continue
        network = seeded(network, channels, size)
        if isinstance(network, nets.MultiscaleDiscriminator):
            network = Scores(network).eval()
        x = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1
        with torch.no_grad():
            y = network(x)
        expected = [t.numpy() for t in (y if isinstance(y, list) else [y])]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            torch.save(state_of(network), folder / "net.pth")
            files = {"PyTorch": folder / "pytorch.onnx", "ours": folder / "ours.onnx"}
            with_pytorch(network, x, files["PyTorch"])
            with_gan_cli(args.program, folder / "net.pth", files["ours"], size, options)
            more = {"ours f16": ["--precision", "f16"], "slices": ["--pad", "slices"], "dynamic": ["--dynamic"]}
            for what, extra in more.items():
                files[what] = folder / f"{what}.onnx"
                with_gan_cli(args.program, folder / "net.pth", files[what], size, options + extra)
            sessions = {}
            for what, path in files.items():
                if what != "PyTorch":
                    onnx.checker.check_model(str(path), full_check=True)
                sessions[what] = (session(path, args.threads), "input")
            feed = x.numpy()
            both = ["PyTorch", "ours"]
            medians, least = timed([(sessions[what][0], sessions[what][0].get_inputs()[0].name) for what in both], feed, args.seconds)
            times = dict(zip(both, zip(medians, least)))
            for what, path in files.items():
                run = sessions[what][0]
                worst = error(expected, run.run(None, {run.get_inputs()[0].name: feed}))
                elsewhere = error(expected, with_openvino(path, feed)) if what != "ours f16" else float("nan")
                median, fastest = times.get(what, (float("nan"),) * 2)
                print(f"{name:36} {what:9} {path.stat().st_size / 1e6:7.1f} {worst:9.1e} {elsewhere:9.1e} {median:10.1f} {fastest:9.1f}", flush=True)
                limit = 2e-2 if what == "ours f16" else 1e-4
                if what != "PyTorch" and (worst > limit or elsewhere > limit):
                    failed.append(f"{name}, {what}: {worst:.1e}, {elsewhere:.1e}")
            if not args.quick and times["ours"][0] > 1.1 * times["PyTorch"][0]:
                failed.append(f"{name}: {times['ours'][0]:.1f} ms, PyTorch's {times['PyTorch'][0]:.1f} ms")
    print("\n".join(["failed:"] + failed) if failed else "all files compute what PyTorch computes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
