"""Writes the parity cases of the networks that image metrics look through: `python make_metric_networks.py --out DIR [--seed N]` (needs numpy and safetensors, no PyTorch).

The committed fixtures are `--seed 1 --out ../fixtures/parity`: computed inputs, smaller than the networks are meant for.

The networks are written down here once more, with loops over the taps of a kernel, in float64. Their weights are too large to store: every tensor is filled from its state-dict key with
u = splitmix64(FNV-1a-64(key) + seed mod 2^64, count), row-major, values in [-1, 1); each operation is rounded to float32:
  2 or more dimensions                             u * sqrt(6 / fan_in), fan_in = product of all dimensions but the first
  *.bn.weight, *.bn.running_var                    1 + 0.25 u, 1 + 0.5 u
  *.bn.bias, *.bn.running_mean, every other bias   0.1 u
  LPIPS heads lin<i>.model.1.weight                0.5 + 0.5 u
Tensor names: `input.<i>` network inputs [N,3,H,W], `picture.<i>` 8-bit images [N,H,W,3] (network input = u8 / 127.5 - 1); results are float64.
`--check FILE` computes a case once more whose results come from the reference packages (of Inception those of torch-fidelity, whose resizing is here as well).
"""
import argparse
import json
import pathlib

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

F32 = np.float32


def splitmix64(seed, n):
    """n values in [-1, 1): the upper 24 bits of SplitMix64's outputs for states seed+1 .. seed+n (times the golden gamma)."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(F32) / F32(2**23) - F32(1)


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


class Weights:
    """Tensors by key, float64 values of float32."""

    def __init__(self, seed):
        self.seed = seed

    def __call__(self, key, *shape):
        u = splitmix64((fnv1a(key) + self.seed) % 2**64, int(np.prod(shape))).reshape(shape)
        if key.startswith("lin"):
            w = F32(0.5) + F32(0.5) * u
        elif len(shape) > 1:
            w = u * F32((6.0 / np.prod(shape[1:])) ** 0.5)
        elif key.endswith("bn.weight"):
            w = F32(1) + F32(0.25) * u
        elif key.endswith("running_var"):
            w = F32(1) + F32(0.5) * u
        else:
            w = F32(0.1) * u
        return w.astype(np.float64)


def conv(x, w, stride=1, padding=(0, 0)):
    (n, c, h, wd), (co, _, kh, kw) = x.shape, w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    ho, wo = (h + 2 * padding[0] - kh) // stride + 1, (wd + 2 * padding[1] - kw) // stride + 1
    y = np.zeros((n, co, ho, wo))
    for a in range(kh):
        for b in range(kw):
            seen = x[:, :, a : a + (ho - 1) * stride + 1 : stride, b : b + (wo - 1) * stride + 1 : stride]
            y += np.einsum("nchw,oc->nohw", seen, w[:, :, a, b], optimize=True)
    return y


def windows(x, kernel, stride, padding, fill, ceil):
    """The padded input at each tap of the window, [taps, N, C, H', W']."""
    n, c, h, w = x.shape

    def side(s):
        room = s + 2 * padding - kernel
        out = (room + stride - 1 if ceil else room) // stride + 1
        return out - 1 if ceil and (out - 1) * stride >= s + padding else out

    ho, wo = side(h), side(w)
    more = ((ho - 1) * stride + kernel, (wo - 1) * stride + kernel)
    pads = [(padding, max(m - s - padding, 0)) for m, s in zip(more, (h, w))]
    x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)
    return np.stack([x[:, :, a : a + (ho - 1) * stride + 1 : stride, b : b + (wo - 1) * stride + 1 : stride] for a in range(kernel) for b in range(kernel)])


def max_pool(x, kernel=3, stride=2, padding=0, ceil=False):
    return windows(x, kernel, stride, padding, -np.inf, ceil).max(0)


def avg_pool(x):
    """3x3, stride 1, padding 1 that the divisor leaves out."""
    return windows(x, 3, 1, 1, 0.0, False).sum(0) / windows(np.ones_like(x), 3, 1, 1, 0.0, False).sum(0)


def relu(x):
    return np.maximum(x, 0)


class Inception:
    """The Inception V3 of FID; `valid` units have no padding."""

    def __init__(self, weights):
        self.w = weights

    def unit(self, x, name, out, kernel=(1, 1), stride=1, valid=False):
        w = self.w(f"{name}.conv.weight", out, x.shape[1], *kernel)
        y = conv(x, w, stride, (0, 0) if valid else (kernel[0] // 2, kernel[1] // 2))
        scale, shift, mean, var = (self.w(f"{name}.bn.{k}", out)[:, None, None] for k in ("weight", "bias", "running_mean", "running_var"))
        return relu((y - mean) / np.sqrt(var + 1e-3) * scale + shift)

    def chain(self, x, *units):
        for name, out, kernel in units:
            x = self.unit(x, name, out, kernel)
        return x

    def a(self, x, at, pool):
        one = self.unit(x, f"{at}.branch1x1", 64)
        five = self.chain(x, (f"{at}.branch5x5_1", 48, (1, 1)), (f"{at}.branch5x5_2", 64, (5, 5)))
        double = self.chain(x, (f"{at}.branch3x3dbl_1", 64, (1, 1)), (f"{at}.branch3x3dbl_2", 96, (3, 3)), (f"{at}.branch3x3dbl_3", 96, (3, 3)))
        return np.concatenate([one, five, double, self.unit(avg_pool(x), f"{at}.branch_pool", pool)], 1)

    def b(self, x, at):
        one = self.unit(x, f"{at}.branch3x3", 384, (3, 3), 2, True)
        double = self.chain(x, (f"{at}.branch3x3dbl_1", 64, (1, 1)), (f"{at}.branch3x3dbl_2", 96, (3, 3)))
        double = self.unit(double, f"{at}.branch3x3dbl_3", 96, (3, 3), 2, True)
        return np.concatenate([one, double, max_pool(x)], 1)

    def c(self, x, at, c):
        one = self.unit(x, f"{at}.branch1x1", 192)
        single = self.chain(x, *((f"{at}.branch7x7_{i}", *rest) for i, rest in enumerate([(c, (1, 1)), (c, (1, 7)), (192, (7, 1))], 1)))
        sizes = [(c, (1, 1)), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))]
        double = self.chain(x, *((f"{at}.branch7x7dbl_{i}", *rest) for i, rest in enumerate(sizes, 1)))
        return np.concatenate([one, single, double, self.unit(avg_pool(x), f"{at}.branch_pool", 192)], 1)

    def d(self, x, at):
        one = self.unit(self.unit(x, f"{at}.branch3x3_1", 192), f"{at}.branch3x3_2", 320, (3, 3), 2, True)
        sizes = [(192, (1, 1)), (192, (1, 7)), (192, (7, 1))]
        seven = self.chain(x, *((f"{at}.branch7x7x3_{i}", *rest) for i, rest in enumerate(sizes, 1)))
        return np.concatenate([one, self.unit(seven, f"{at}.branch7x7x3_4", 192, (3, 3), 2, True), max_pool(x)], 1)

    def e(self, x, at, pooled):
        one = self.unit(x, f"{at}.branch1x1", 320)
        three = self.unit(x, f"{at}.branch3x3_1", 384)
        double = self.chain(x, (f"{at}.branch3x3dbl_1", 448, (1, 1)), (f"{at}.branch3x3dbl_2", 384, (3, 3)))
        parts = [one, self.unit(three, f"{at}.branch3x3_2a", 384, (1, 3)), self.unit(three, f"{at}.branch3x3_2b", 384, (3, 1))]
        parts += [self.unit(double, f"{at}.branch3x3dbl_3a", 384, (1, 3)), self.unit(double, f"{at}.branch3x3dbl_3b", 384, (3, 1))]
        return np.concatenate(parts + [self.unit(pooled, f"{at}.branch_pool", 192)], 1)

    def __call__(self, x):
        taps = {}
        x = self.unit(x, "Conv2d_1a_3x3", 32, (3, 3), 2, True)
        x = self.unit(x, "Conv2d_2a_3x3", 32, (3, 3), 1, True)
        x = max_pool(self.unit(x, "Conv2d_2b_3x3", 64, (3, 3)))
        taps["tap64"] = x.mean((2, 3))
        x = self.unit(self.unit(x, "Conv2d_3b_1x1", 80), "Conv2d_4a_3x3", 192, (3, 3), 1, True)
        x = max_pool(x)
        taps["tap192"] = x.mean((2, 3))
        for at, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self.a(x, at, pool)
        x = self.b(x, "Mixed_6a")
        for at, c in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = self.c(x, at, c)
        taps["tap768"] = x.mean((2, 3))
        x = self.d(x, "Mixed_7a")
        x = self.e(x, "Mixed_7b", avg_pool(x))
        x = self.e(x, "Mixed_7c", max_pool(x, 3, 1, 1))
        taps["features"] = x.mean((2, 3))
        taps["logits_unbiased"] = taps["features"] @ self.w("fc.weight", 1008, 2048).T
        taps["logits"] = taps["logits_unbiased"] + self.w("fc.bias", 1008)
        return taps


class Trunk:
    """The convolutional parts of torchvision's classifiers; each yields the maps that LPIPS compares."""

    def __init__(self, weights):
        self.w = weights

    def conv(self, x, name, out, k, stride=1, padding=0):
        w = self.w(f"features.{name}.weight", out, x.shape[1], k, k)
        return relu(conv(x, w, stride, (padding,) * 2) + self.w(f"features.{name}.bias", out)[:, None, None])

    def fire(self, x, name, narrow, wide):
        x = self.conv(x, f"{name}.squeeze", narrow, 1)
        return np.concatenate([self.conv(x, f"{name}.expand1x1", wide, 1), self.conv(x, f"{name}.expand3x3", wide, 3, 1, 1)], 1)

    def alex(self, x):
        yield (x := self.conv(x, 0, 64, 11, 4, 2))
        yield (x := self.conv(max_pool(x), 3, 192, 5, 1, 2))
        yield (x := self.conv(max_pool(x), 6, 384, 3, 1, 1))
        yield (x := self.conv(x, 8, 256, 3, 1, 1))
        yield self.conv(x, 10, 256, 3, 1, 1)

    def vgg(self, x):
        for stage, (out, layers) in enumerate([(64, (0, 2)), (128, (5, 7)), (256, (10, 12, 14)), (512, (17, 19, 21)), (512, (24, 26, 28))]):
            x = max_pool(x, 2, 2) if stage else x
            for layer in layers:
                x = self.conv(x, layer, out, 3, 1, 1)
            yield x

    def squeeze(self, x):
        yield (x := self.conv(x, 0, 64, 3, 2))
        x = self.fire(max_pool(x, ceil=True), 3, 16, 64)
        yield (x := self.fire(x, 4, 16, 64))
        x = self.fire(max_pool(x, ceil=True), 6, 32, 128)
        yield (x := self.fire(x, 7, 32, 128))
        for name, narrow, wide in ((9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)):
            x = max_pool(x, ceil=True) if name == 9 else x
            yield (x := self.fire(x, name, narrow, wide))


def lpips(net, weights, a, b):
    """What each tap contributes, [N, taps]."""
    shift = np.array([-0.030, -0.088, -0.188], F32).astype(np.float64)[:, None, None]
    scale = np.array([0.458, 0.448, 0.450], F32).astype(np.float64)[:, None, None]
    layers = []
    maps = [getattr(Trunk(weights), net)((x - shift) / scale) for x in (a, b)]
    for i, (x, y) in enumerate(zip(*maps)):
        x, y = (v / (np.sqrt((v**2).sum(1, keepdims=True)) + 1e-10) for v in (x, y))
        head = weights(f"lin{i}.model.1.weight", 1, x.shape[1], 1, 1).reshape(-1, 1, 1)
        layers.append(((x - y) ** 2 * head).sum(1).mean((1, 2)))
    return np.stack(layers, 1)


def from_pictures(p):
    return p.transpose(0, 3, 1, 2).astype(np.float64) / 127.5 - 1


def lpips_results(weights, a, b):
    out = {}
    for net in ("alex", "vgg", "squeeze"):
        out[f"{net}.layers"] = lpips(net, weights, from_pictures(a), from_pictures(b))
        out[f"{net}.distance"] = out[f"{net}.layers"].sum(1)
    return out


def resized(picture):
    """torch-fidelity's network input: TensorFlow 1's bilinear resizing to 299x299 (no half-pixel shift, no antialiasing), then (x - 128) / 128."""
    x = picture.astype(np.float64)
    for axis in (0, 1):
        size = x.shape[axis]
        at = np.arange(299) * np.float64(F32(size / 299))
        low = at.astype(int)
        part = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, size - 1), axis) * part
    return (x.transpose(2, 0, 1)[None] - 128) / 128


def check(path):
    with safe_open(path, "np") as f:
        config, t = json.loads(f.metadata()["config"]), {k: f.get_tensor(k) for k in f.keys()}
    weights = Weights(config["seed"])
    if config["kind"] == "lpips":
        results = lpips_results(weights, t["picture.0"], t["picture.1"])
    else:
        rows = [Inception(weights)(resized(t[f"picture.{i}"])) for i in range(sum(k.startswith("picture.") for k in t))]
        results = {f"{k}.torch_fidelity": np.concatenate([row[k] for row in rows]) for k in rows[0]}
    for k, v in results.items():
        print(k, np.abs(v - t[k]).max() / np.abs(t[k]).max())


def save(path, tensors, config):
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path, metadata={"config": json.dumps(config)})
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", type=pathlib.Path)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--check", type=pathlib.Path)
    a = ap.parse_args()
    if a.check:
        return check(a.check)
    a.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.RandomState(a.seed)
    config = dict(weights="splitmix64-fnv1a")
    # 107 pixels leave 2x2 maps at the end, so that every border is seen.
    seed = a.seed + 40
    x = rng.uniform(-1, 1, (1, 3, 107, 123)).astype(F32)
    results = Inception(Weights(seed))(x.astype(np.float64))
    save(a.out / "inception_small.safetensors", {"input.0": x} | {f"{k}.input": v for k, v in results.items()}, dict(config, kind="inception", seed=seed))
    seed = a.seed + 30
    # Sizes at which the pools with and without ceil_mode differ.
    pictures = {f"picture.{i}": rng.randint(0, 256, (2, 37, 46, 3), dtype=np.uint8) for i in (0, 1)}
    pictures["picture.1"][0] = np.clip(pictures["picture.0"][0] * 0.8 + rng.randint(0, 30, (37, 46, 3)), 0, 255)
    save(a.out / "lpips_small.safetensors", pictures | lpips_results(Weights(seed), *pictures.values()), dict(config, kind="lpips", version="0.1", seed=seed))


if __name__ == "__main__":
    main()
