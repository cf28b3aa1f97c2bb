"""Writes the cases of image metrics: `python make_metrics.py --out DIR [--seed N]` (needs numpy, pillow 13, safetensors).

The committed fixtures are `--seed 1 --out ../fixtures/parity`. Images are computed: smooth noise, stripes and a ramp. Everything is float64
and written from the definitions, one window or one pair at a time, unlike the code under test.

image_metrics.safetensors    picture.<i>.{0,1} uint8 [H,W,C]; mae.<i>, mse.<i>, psnr.<i>, ssim.<i>, ssim_channels.<i>, ssim_luma.<i>, and
                             ms_ssim.<i> where the smaller side exceeds 160
feature_metrics.safetensors  <set>.{x,y} float32 [N,D]; <set>.fid.{exact,mean_term,trace_1,trace_2,trace_root};
                             <set>.kid.torch_fidelity.{index_x,index_y,values,mean,std} from numpy.random.RandomState(2020);
                             <set>.prc.{precision,recall,f_score} with x generated, y real, k = 3
network_inputs.safetensors   picture.<i> uint8 [H,W,3]; resized.<protocol>.<i>: the Inception network's input, [3,13,13] of 299x299
                             (every 23rd row and column), as pytorch-fid, torch-fidelity and clean-fid make it
"""
import argparse
import json
import pathlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from safetensors.numpy import save_file


def save(path, tensors, config):
    save_file({k: np.array(v, order="C") for k, v in tensors.items()}, path, metadata={"config": json.dumps(config)})
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


def image(rng, h, w, channels=3):
    noise = rng.randint(0, 256, (h // 9 + 2, w // 9 + 2, channels), dtype=np.uint8)
    smooth = np.stack([np.asarray(Image.fromarray(noise[..., c]).resize((w, h), Image.BICUBIC)) for c in range(channels)], -1)
    y, x = np.mgrid[:h, :w]
    stripes = ((x // 5 + y // 11) % 2 * 60 + (x + 2 * y) % 50)[..., None]
    return np.clip(smooth * 0.7 + stripes, 0, 255).astype(np.uint8)


def changed(rng, a):
    return np.clip(np.rint(np.roll(a, 1, axis=0) * 0.9 + 7 + rng.normal(0, 8, a.shape)), 0, 255).astype(np.uint8)


# ---- pixel metrics --------------------------------------------------------------------------------------------------

G = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
WINDOW = np.outer(G, G) / np.outer(G, G).sum()
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(x, y):
    """Means of SSIM and of its contrast and structure over the windows inside two [H,W] arrays."""
    a, b = (sliding_window_view(v, (11, 11)) for v in (x, y))
    mean = lambda v: (v * WINDOW).sum((-2, -1))
    ma, mb = mean(a), mean(b)
    da, db = a - ma[..., None, None], b - mb[..., None, None]
    structure = (2 * mean(da * db) + C2) / (mean(da * da) + mean(db * db) + C2)
    return ((2 * ma * mb + C1) / (ma**2 + mb**2 + C1) * structure).mean(), structure.mean()


def halved(v):
    v = np.pad(v, [(n % 2, 0) for n in v.shape])
    return (v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2]) / 4


def ms_ssim(x, y):
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        whole, structure = ssim(x, y)
        product *= max(whole if scale == 4 else structure, 0.0) ** weight
        x, y = halved(x), halved(y)
    return product


def image_metrics(path, seed):
    rng, t = np.random.RandomState(seed), {}
    for i, (h, w, c) in enumerate(((23, 31, 3), (40, 17, 3), (161, 166, 1))):
        a = image(rng, h, w, c)
        b = changed(rng, a)
        x, y = a.astype(float), b.astype(float)
        channels = lambda f: np.array([f(x[..., k], y[..., k]) for k in range(c)])
        mse = ((x - y) ** 2).mean()
        t |= {f"picture.{i}.0": a, f"picture.{i}.1": b, f"mae.{i}": np.abs(x - y).mean(), f"mse.{i}": mse, f"psnr.{i}": 10 * np.log10(255**2 / mse)}
        t |= {f"ssim_channels.{i}": channels(lambda p, q: ssim(p, q)[0]), f"ssim.{i}": channels(lambda p, q: ssim(p, q)[0]).mean()}
        luma = lambda v: v @ np.array([0.299, 0.587, 0.114]) if c == 3 else v[..., 0]
        t[f"ssim_luma.{i}"] = ssim(luma(x), luma(y))[0]
        if min(h, w) > 160:
            t[f"ms_ssim.{i}"] = channels(ms_ssim).mean()
    save(path, t, dict(kind="image_metrics", data_range=255))


# ---- metrics of sets ------------------------------------------------------------------------------------------------

def fid(x, y):
    xc, yc = x - x.mean(0), y - y.mean(0)
    mean_term = ((x.mean(0) - y.mean(0)) ** 2).sum()
    trace_1, trace_2 = np.cov(x, rowvar=False).trace(), np.cov(y, rowvar=False).trace()
    trace_root = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / np.sqrt((len(x) - 1.0) * (len(y) - 1.0))
    return dict(mean_term=mean_term, trace_1=trace_1, trace_2=trace_2, trace_root=trace_root, exact=mean_term + trace_1 + trace_2 - 2 * trace_root)


def kid(x, y, size=15, subsets=4):
    state, d = np.random.RandomState(2020), x.shape[1]
    k = lambda a, b: (np.dot(a, b) / d + 1) ** 3
    index_x, index_y, values = [], [], []
    for _ in range(subsets):
        i, j = state.choice(len(x), size, replace=False), state.choice(len(y), size, replace=False)
        a, b = x[i], y[j]
        same = sum(k(s[m], s[n]) for s in (a, b) for m in range(size) for n in range(size) if m != n) / (size * (size - 1))
        values.append(same - 2 * np.mean([k(p, q) for p in a for q in b]))
        index_x.append(i), index_y.append(j)
    return dict(index_x=np.array(index_x), index_y=np.array(index_y), values=np.array(values), mean=np.mean(values), std=np.std(values))


def prc(x, y, k=3):
    distance = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=-1)
    radius = lambda v: np.sort(distance(v, v), axis=1)[:, k]
    across = distance(x, y)
    p, r = (across <= radius(y)).any(1).mean(), (across <= radius(x)[:, None]).any(0).mean()
    return dict(precision=p, recall=r, f_score=2 * p * r / max(1e-5, p + r))


def feature_metrics(path, seed):
    rng, t = np.random.RandomState(seed), {}
    for name, d in (("full_rank", 12), ("singular", 48)):
        mix = rng.randn(d, d) / np.sqrt(d)
        x = (rng.randn(45, d) @ mix + 0.1).astype(np.float32)
        y = (rng.randn(30, d) @ mix * 0.9 + 0.2).astype(np.float32)
        y[:, 2] = 0.5  # a feature that does not vary
        t |= {f"{name}.x": x, f"{name}.y": y}
        x, y = x.astype(np.float64), y.astype(np.float64)
        for metric, values in (("fid", fid(x, y)), ("kid.torch_fidelity", kid(x, y)), ("prc", prc(x, y))):
            t |= {f"{name}.{metric}.{k}": np.asarray(v) for k, v in values.items()}
    save(path, t, dict(kind="feature_metrics"))


# ---- network inputs -------------------------------------------------------------------------------------------------

def bilinear(v, position):
    """[H,W,3] to 299x299 by two neighbours an axis; `position` says where an output lies among `n` inputs."""
    def axis(v):
        n = v.shape[0]
        at = np.array([position(i, n) for i in range(299)])
        low = at.astype(int)
        part = (at - low).reshape(-1, 1, 1)
        return v[low] * (1 - part) + v[np.minimum(low + 1, n - 1)] * part
    return axis(axis(v).swapaxes(0, 1)).swapaxes(0, 1)


def network_inputs(path, seed):
    rng, t = np.random.RandomState(seed), {}
    for i, (h, w) in enumerate(((24, 20), (340, 40), (40, 330))):
        a = image(rng, h, w)
        clean = np.stack([np.asarray(Image.fromarray(a[..., c].astype(np.float32)).resize((299, 299), Image.BICUBIC)) for c in range(3)], -1)
        inputs = dict(
            pytorch_fid=2 * bilinear(a / 255.0, lambda i, n: max((i + 0.5) * n / 299 - 0.5, 0)) - 1,
            torch_fidelity=(bilinear(a.astype(float), lambda i, n: i * float(np.float32(n / 299))) - 128) / 128,
            clean_fid=(clean.clip(0, 255).astype(float) - 128) / 128,
        )
        t[f"picture.{i}"] = a
        t |= {f"resized.{name}.{i}": v.transpose(2, 0, 1)[:, ::23, ::23] for name, v in inputs.items()}
    save(path, t, dict(kind="network_inputs"))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", required=True, type=pathlib.Path)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    for case in (image_metrics, feature_metrics, network_inputs):
        case(a.out / f"{case.__name__}.safetensors", a.seed)


if __name__ == "__main__":
    main()
