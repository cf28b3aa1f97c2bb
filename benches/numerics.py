#!/usr/bin/env python3
"""PyTorch's rounding errors, for comparison with `cargo bench -p gan-tests --bench numerics`: the same networks, the same figures.

    pip install torch
    python benches/numerics.py
"""
import copy
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "oracle"))

import torch  # noqa: E402

import nets  # noqa: E402

DRAWINGS = 15
NETWORKS = {
    "resnet9": (nets.ResnetGenerator, (1, 3, 128, 128)),
    "unet256": (nets.UnetGenerator, (1, 3, 256, 256)),
    "patch": (lambda: nets.PatchDiscriminator(6), (1, 6, 128, 128)),
}


def run(net, x, cotangent):
    y = net(x)
    y = y[-1] if isinstance(y, (list, tuple)) else y
    g = cotangent(y)
    (y * g).sum().backward()
    return y.detach(), torch.cat([p.grad.flatten() for p in net.parameters()])


def error(have, exact):
    return ((have.double() - exact).norm() / exact.norm()).item()


def main():
    print(f"{'network':<10} {'output':>12} {'gradient':>12} {'mean':>12}")
    for name, (make, shape) in NETWORKS.items():
        errors = [[], []]
        for seed in range(DRAWINGS):
            torch.manual_seed(seed)
            single = make()
            for p in single.parameters():
                if p.dim() > 1:
                    torch.nn.init.normal_(p, 0.0, 0.02)
            double = copy.deepcopy(single).double()
            x, drawn = torch.randn(shape), {}

            def cotangent(y):
                g = drawn.setdefault("g", torch.randn(y.shape))
                return g.to(y.dtype)

            for i, (a, b) in enumerate(zip(run(single, x, cotangent), run(double, x.double(), cotangent))):
                errors[i].append(error(a, b))
        figures = [*map(statistics.median, errors), statistics.mean(errors[1])]
        print(f"{name:<10} " + " ".join(f"{figure:>12.3e}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
