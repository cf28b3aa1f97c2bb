"""Writes the key snapshots of crates/gan-nets/tests/keys: `python make_keys.py --out DIR` (needs torch).

A line a tensor of the state dict, in its order: key and shape.
"""
import argparse
import pathlib

import torch

import nets


def networks():
    """Name of the snapshot and the network."""
    for norm in ("instance", "batch", "none"):
        for n in (9, 6):
            yield f"resnet_{n}_{norm}", lambda: nets.ResnetGenerator(norm=norm, n_blocks=n)
        for n in (7, 8):
            yield f"unet_{n}_{norm}", lambda: nets.UnetGenerator(num_downs=n, norm=norm)
        yield f"basic_{norm}", lambda: nets.PatchDiscriminator(3, norm=norm)
        yield f"pixel_{norm}", lambda: nets.PixelDiscriminator(6, norm=norm)
    for padding in ("reflect", "replicate", "zero"):
        for dropout in (False, True):
            name = f"resnet_block_{padding}" + ("_dropout" if dropout else "")
            yield name, lambda: nets.ResnetGenerator(norm="batch", dropout=dropout, n_blocks=1, padding=padding)
    for upsample in ("resize", "resize_zero"):
        yield f"resnet_6_{upsample}", lambda: nets.ResnetGenerator(norm="batch", n_blocks=6, upsample=upsample)
    yield "resnet_9_antialias", lambda: nets.ResnetGenerator(antialias=True, antialias_up=True)
    yield "resnet_4_antialias_down", lambda: nets.ResnetGenerator(n_blocks=4, antialias=True)
    yield "resnet_4_antialias_up", lambda: nets.ResnetGenerator(norm="batch", n_blocks=4, antialias_up=True)
    yield "basic_antialias", lambda: nets.PatchDiscriminator(3, norm="instance", antialias=True)
    yield "patch_sample", lambda: nets.PatchSample([3, 128, 256, 256, 256])
    yield "unet_5_batch", lambda: nets.UnetGenerator(1, 2, num_downs=5)
    for n in (1, 5):
        yield f"n_layers_{n}_batch", lambda: nets.PatchDiscriminator(6, n_layers=n)
    for norm in ("instance", "batch"):
        yield f"global_{norm}", lambda: nets.GlobalGenerator(36, norm=norm)
        for n in (1, 2):
            yield f"local_{n}_{norm}", lambda: nets.LocalEnhancer(36, n_down_global=4, n_local=n, norm=norm)
        yield f"local_1_resize_{norm}", lambda: nets.LocalEnhancer(36, n_down_global=4, norm=norm, upsample="resize")
        yield f"multiscale_stages_{norm}", lambda: nets.MultiscaleDiscriminator(39, num_d=2, norm=norm)
        yield f"multiscale_flat_{norm}", lambda: nets.MultiscaleDiscriminator(39, num_d=2, norm=norm, stages=False)
    yield "encoder_instance", nets.FeatureEncoder


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", required=True)
    out = pathlib.Path(ap.parse_args().out)
    for name, build in networks():
        with torch.device("meta"):
            state = build().state_dict()
        lines = [f"{k} {'x'.join(map(str, v.shape)) or 'scalar'}\n" for k, v in state.items()]
        (out / f"{name}.txt").write_text("".join(lines))
        print(f"{name}: {len(lines)} keys")


if __name__ == "__main__":
    main()
