#!/usr/bin/env python3
"""Writes weight files of many kinds and origins with PyTorch: make_foreign_weights.py DIR (needs torch, numpy, onnx and safetensors).

Networks are small. Beside each file that translates lies the image that PyTorch makes of it; cases.json says of each file what is
expected. run_foreign_weights.py gives them to gan-cli and prints the table of docs/weights.md.
"""
import argparse
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import json
import pathlib
import pickle
import random
import struct
import sys
import tarfile
import types
import uuid
import zipfile
import zlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import foreign_nets as foreign  # noqa: E402
import nets  # noqa: E402

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(7)
torch.set_num_threads(1)
cases = []


# ---- images -----------------------------------------------------------------------------------------------------------


def png(path, levels):
    """8-bit levels [H, W] or [H, W, 3]."""
    height, width = levels.shape[:2]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels.reshape(height, -1)), 9)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if levels.ndim == 2 else 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def normalised(levels):
    return (torch.from_numpy(levels.astype("f4")) / 255 - 0.5)[None] / 0.5


def photo(side):
    y, x = np.mgrid[0:side, 0:side]
    levels = np.stack([128 + 16 * np.round(6 * np.sin(x / (3 + k)) * np.cos(y / (5 - k))) for k in range(3)], -1).astype("u1")
    png(out / f"photo_{side}.png", levels)
    return normalised(levels).permute(0, 3, 1, 2)


photos = {side: photo(side) for side in (32, 128, 256)}
labels = np.arange(32 * 32).reshape(32, 32) // 97 % 5
png(out / "labels_32.png", labels.astype("u1"))
grey = (np.arange(32 * 32).reshape(32, 32) * 7 % 251).astype("u1")
png(out / "grey_32.png", grey)


def image(path, tensor):
    """Rounded to the nearest level."""
    levels = np.floor((tensor[0].permute(1, 2, 0).double().numpy() + 1) / 2 * 255 + 0.5).clip(0, 255).astype("u1")
    png(path, levels[..., 0] if levels.shape[2] == 1 else levels)


# ---- cases ------------------------------------------------------------------------------------------------------------


def add(group, kind, suffix, write, expect, origin="", side=32, args=(), words=(), net=None, mode="eval", x=None, **more):
    """A case. `write` takes the path; `expect` is "image" (of `net` in `mode`), "listed" or "refused"."""
    at = len(cases)
    file = f"{at:03}{suffix}"
    write(out / file)
    case = dict(file=file, group=group, kind=kind, origin=origin, expect=expect, args=list(args), words=list(words), **more)
    case.setdefault("input", f"photo_{side}.png")
    if expect == "image":
        net = copy.deepcopy(net)
        net.train(mode == "train")
        # Statistics of the image; dropout stays off.
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        with torch.no_grad():
            image(out / f"{at:03}.png", net(photos[side] if x is None else x))
        case["image"] = f"{at:03}.png"
    cases.append(case)


def save(thing, **options):
    return lambda path: torch.save(thing, path, **options)


def data(content):
    return lambda path: path.write_bytes(content)


def shaken(net):
    """Norms that have learned something."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
            module.weight.data.normal_(1, 0.2)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.02, 0.1)
    return net


def resnet(**more):
    return shaken(nets.ResnetGenerator(**{"ngf": 4, "n_blocks": 2, **more}))


def unet(**more):
    return shaken(nets.UnetGenerator(**{"ngf": 4, "num_downs": 5, **more}))


def prefixed(**networks):
    state = collections.OrderedDict()
    for name, net in networks.items():
        state.update({f"{name}.{key}": value for key, value in net.state_dict().items()})
    return state


g = resnet()
sd = g.state_dict()
g2 = resnet()
d = nets.PatchDiscriminator(3, ndf=4)
pth = ".pth"
BN = dict(args=["--eval"])

# ---- networks of the references ---------------------------------------------------------------------------------------

R, CYCLE, HD, CUT = "references", "pytorch-CycleGAN-and-pix2pix", "pix2pixHD", "CUT"
for kind, net, more in [
    ("resnet_9blocks", resnet(n_blocks=9, ngf=2), {}),
    ("resnet_6blocks", resnet(n_blocks=6, ngf=2), {}),
    ("ResNet of 1 block", resnet(n_blocks=1), {}),
    ("ResNet, batch norm (eval)", resnet(norm="batch"), BN),
    ("ResNet, batch norm, statistics of the image", resnet(norm="batch"), dict(mode="train")),
    ("ResNet, no norm", resnet(norm="none"), {}),
    ("ResNet with dropout", resnet(dropout=True), {}),
    ("ResNet, zero padding", resnet(padding="zero"), {}),
    ("ResNet, replicated borders", resnet(padding="replicate"), dict(args=["--assume", "padding=replicate"])),
    ("ResNet with affine instance norm", resnet(norm="instance_affine"), {}),
    ("unet_256", unet(num_downs=8, ngf=2), dict(side=256, **BN)),
    ("unet_128", unet(num_downs=7, ngf=2), dict(side=128, **BN)),
    ("U-Net of 5 halvings, statistics of the image", unet(norm="batch"), dict(mode="train")),
    ("U-Net, instance norm", unet(norm="instance"), {}),
    ("U-Net, affine instance norm", unet(norm="instance_affine"), {}),
    ("U-Net, no norm", unet(norm="none"), {}),
    ("1 to 3 channels", resnet(in_nc=1), dict(x=normalised(grey)[None], input="grey_32.png")),
    ("3 to 1 channel", resnet(out_nc=1), {}),
]:
    add(R, kind, pth, save(net.state_dict()), "image", CYCLE, net=net, **more)
for kind, net in [
    ("resize-convolutions, reflecting", resnet(upsample="resize")),
    ("resize-convolutions, zero padding", resnet(upsample="resize_zero")),
]:
    add(R, kind, pth, save(net.state_dict()), "image", "forks (against checkerboards)", net=net)
net = unet(norm="instance", upsample="resize")
add(R, "U-Net of resize-convolutions", pth, save(net.state_dict()), "image", "forks (against checkerboards)", net=net)
for kind, more in [
    ("anti-aliased both ways", dict(antialias=True, antialias_up=True)),
    ("anti-aliased halvings", dict(antialias=True)),
    ("anti-aliased doublings", dict(antialias_up=True)),
]:
    net = resnet(**more)
    add(R, kind, pth, save(net.state_dict()), "image", CUT, net=net)
net = nets.GlobalGenerator(3, ngf=4, n_down=3, n_blocks=2)
add(R, "global generator of images", pth, save(net.state_dict()), "image", HD, net=net, args=["--label-nc", "0", "--no-instance"])
net = nets.LocalEnhancer(3, ngf=4, n_down_global=2, n_blocks_global=2)
add(R, "local enhancer of images", pth, save(net.state_dict()), "image", HD, net=net, args=["--label-nc", "0", "--no-instance"])
one_hot = nn.functional.one_hot(torch.from_numpy(labels), 5).permute(2, 0, 1)[None].float()
net = nets.GlobalGenerator(5, ngf=4, n_down=3, n_blocks=2)
add(R, "global generator of label maps", pth, save(net.state_dict()), "image", HD, net=net, x=one_hot, input="labels_32.png",
    args=["--label-nc", "5", "--no-instance"])

# ---- containers -------------------------------------------------------------------------------------------------------

C = "containers"


def torch_file(**options):
    buffer = io.BytesIO()
    torch.save(sd, buffer, **options)
    return buffer.getvalue()


def repacked(method, keep=lambda name: True, change=lambda name, content: content):
    def write(path):
        with zipfile.ZipFile(io.BytesIO(torch_file())) as old, zipfile.ZipFile(path, "w", method) as new:
            for name in old.namelist():
                if keep(name):
                    new.writestr(name, change(name, old.read(name)))

    return write


legacy = dict(_use_new_zipfile_serialization=False)
for kind, origin, suffix, write in [
    ("zip", "PyTorch from 1.6 on", pth, save(sd)),
    ("legacy", "PyTorch before 1.6", pth, save(sd, **legacy)),
    ("pickle protocol 3", "torch.save(…, pickle_protocol=3)", pth, save(sd, pickle_protocol=3)),
    ("pickle protocol 4", "the same", pth, save(sd, pickle_protocol=4)),
    ("pickle protocol 5", "the same", pth, save(sd, pickle_protocol=5)),
    ("legacy, pickle protocol 4", "the same", pth, save(sd, pickle_protocol=4, **legacy)),
    ("zip, packed again", "archivers", pth, repacked(zipfile.ZIP_STORED)),
    ("zip, compressed", "archivers", pth, repacked(zipfile.ZIP_DEFLATED)),
    ("zip without version and byteorder", "PyTorch 1.6", pth, repacked(0, lambda name: name.split("/")[-1] not in ("version", "byteorder", ".format_version", ".storage_alignment"))),
    ("safetensors", "safetensors", ".safetensors", lambda path: save_file(sd, path)),
    ("safetensors with metadata", "Hugging Face", ".safetensors", lambda path: save_file(sd, path, {"format": "pt"})),
    ("safetensors called .pth", "renamed", pth, lambda path: save_file(sd, path)),
    (".pth called .ckpt", "renamed", ".ckpt", save(sd)),
    (".pth called .bin", "Hugging Face", ".bin", save(sd)),
    ("a file without extension", "renamed", "", save(sd)),
]:
    add(C, kind, suffix, write, "image", origin, net=g)
add(C, "plain dict", pth, save(dict(sd)), "image", "by hand", net=g)
add(C, "Parameters", pth, save(dict(g.named_parameters())), "image", "by hand", net=g)
add(C, "channels_last weights", pth, save(copy.deepcopy(g).to(memory_format=torch.channels_last).state_dict()), "image", "memory formats", net=g)
flat = torch.cat([v.flatten() for v in sd.values()])
views, start = collections.OrderedDict(), 0
for key, value in sd.items():
    views[key] = flat[start:start + value.numel()].view(value.shape)
    start += value.numel()
add(C, "views of one storage", pth, save(views), "image", "flattened optimizers", net=g)
add(C, "views of one storage, legacy", pth, save(views, **legacy), "image", "flattened optimizers", net=g)
strided = {k: v.transpose(0, 1).contiguous().transpose(0, 1) if v.dim() > 1 else v for k, v in sd.items()}
add(C, "transposed weights", pth, save(strided), "image", "by hand", net=g)
negative = {k: torch._neg_view(-v) for k, v in sd.items()}
add(C, "negative bit", pth, save(negative), "image", "imag of a conjugate", net=g)
for kind, dtype in [("float16", torch.float16), ("bfloat16", torch.bfloat16), ("float64", torch.float64)]:
    rounded = copy.deepcopy(g).to(dtype)
    add(C, f"{kind} weights", pth, save(rounded.state_dict()), "image", "mixed precision", net=copy.deepcopy(rounded).float())
    add(C, f"{kind} weights, safetensors", ".safetensors", lambda path, net=rounded: save_file(net.state_dict(), path), "image", "mixed precision", net=copy.deepcopy(rounded).float())
net = resnet(norm="batch")
add(C, "batch norms without counters", pth, save({k: v for k, v in net.state_dict().items() if "num_batches" not in k}), "image", "PyTorch before 0.4.1", net=net, **BN)
tracked = collections.OrderedDict()
for name, module in g.named_modules():
    for key, value in module._parameters.items():
        if value is not None:
            tracked[f"{name}.{key}"] = value.data
    if isinstance(module, nn.InstanceNorm2d):
        tracked[f"{name}.running_mean"], tracked[f"{name}.running_var"] = torch.zeros(module.num_features), torch.ones(module.num_features)
add(C, "instance norms with running statistics", pth, save(tracked), "image", "PyTorch before 0.4", net=g)


class Marked(torch.Tensor):
    pass


add(C, "tensors of a class of their own", pth, save({k: v.as_subclass(Marked) for k, v in sd.items()}), "image", "tensor subclasses", net=g)
every = {"half": torch.ones(2, dtype=torch.float16), "int8": torch.ones(2, dtype=torch.int8), "bool": torch.tensor([True]),
         "uint16": torch.ones(2, dtype=torch.uint16), "uint32": torch.ones(2, dtype=torch.uint32), "uint64": torch.ones(2, dtype=torch.uint64),
         "e4m3": torch.ones(2, dtype=torch.float8_e4m3fn), "e5m2": torch.ones(2, dtype=torch.float8_e5m2),
         "complex": torch.ones(2, dtype=torch.complex64), "conj": torch.ones(2, dtype=torch.complex64).conj(), "complex128": torch.ones(2, dtype=torch.complex128)}
add(C, "every element type", pth, save(every), "listed", "rebuild_tensor_v2 and v3", words=["int8", "uint16", "uint32", "uint64", "bool", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128", "11 tensors"])
add(C, "every element type, legacy", pth, save({k: v for k, v in every.items() if not k.startswith(("uint", "e"))}, **legacy), "listed", "PyTorch before 1.6", words=["int8", "bool", "complex64", "6 tensors"])
add(C, "every element type, safetensors", ".safetensors", lambda path: save_file({k: v for k, v in every.items() if k not in ("conj", "complex128")}, path), "listed", "safetensors", words=["int8", "uint16", "bool", "float8_e5m2", "complex64", "9 tensors"])
add(C, "a discriminator", pth, save(d.state_dict()), "listed", CYCLE, words=["PatchGAN discriminator of 3 layers"])
add(C, "weights of no network here", pth, save(nn.Sequential(nn.Linear(3, 4), nn.Conv1d(2, 3, 3)).state_dict()), "listed", "any", words=["0.weight", "4 x 3", "4 tensors"])

# ---- wrappers ---------------------------------------------------------------------------------------------------------

W = "wrappers"
g_train = copy.deepcopy(g)
opt = torch.optim.Adam(g_train.parameters(), lr=0.0)
g_train(photos[32]).mean().backward()
opt.step()
optim = opt.state_dict()
averaged = torch.optim.swa_utils.AveragedModel(g)
ema_pytorch = {**prefixed(ema_model=g), "initted": torch.tensor(True), "step": torch.tensor(9)}
both_ema = {**prefixed(online_model=g2, ema_model=g), "initted": torch.tensor(True), "step": torch.tensor(9)}


class Trainer:
    def __init__(self, net):
        self.net, self.epoch = net, 3


class Attributes(dict):
    """As Lightning keeps hyperparameters."""


def wrapped(*prefixes):
    return {"".join(prefixes) + k: v for k, v in sd.items()}


for kind, origin, thing in [
    ("`module.`", "DataParallel", nn.DataParallel(g).state_dict()),
    ("`module.module.`", "DataParallel twice", wrapped("module.", "module.")),
    ("`_orig_mod.`", "torch.compile", wrapped("_orig_mod.")),
    ("`module._orig_mod.`", "both", wrapped("module.", "_orig_mod.")),
    ("`_orig_mod.module.`", "both", wrapped("_orig_mod.", "module.")),
    ("`_orig_mod.` inside", "a compiled part", {k.replace("model.", "model._orig_mod.", 1): v for k, v in sd.items()}),
    ("`module.` and `n_averaged`", "AveragedModel", averaged.state_dict()),
    ("`ema_model.` and counters", "ema-pytorch", ema_pytorch),
    ("`ema.`", "EMA wrappers", {**wrapped("ema."), "ema_decay": torch.tensor(0.999)}),
    ("`generator.`", "one attribute", prefixed(generator=g)),
    ("`G_A.` beside a discriminator", "flat dicts", prefixed(G_A=g, D_A=d)),
    ("`generators.photo.module.`", "mmcv", prefixed(**{"generators.photo.module": g})),
    ("`model.generator.net.`", "deep attributes", prefixed(**{"model.generator.net": g})),
    ("`_forward_module.`", "Fabric", wrapped("_forward_module.")),
    ("`_fsdp_wrapped_module.`", "FSDP", {"_fsdp_wrapped_module." + k.replace("model.", "model._fsdp_wrapped_module.", 1): v for k, v in sd.items()}),
    ("`_checkpoint_wrapped_module.` inside", "activation checkpointing", {k.replace("conv_block.", "_checkpoint_wrapped_module.conv_block."): v for k, v in sd.items()}),
    ("{state_dict, epoch, optimizer}", "training loops", {"epoch": 3, "state_dict": sd, "optimizer": optim}),
    ("{model_state_dict, loss, …}", "PyTorch's tutorial", {"epoch": 3, "model_state_dict": sd, "optimizer_state_dict": optim, "loss": torch.tensor(0.5)}),
    ("{model, opt}", "fastai", {"model": sd, "opt": optim}),
    ("{params}", "BasicSR", {"params": sd}),
    ("{params, params_ema}", "BasicSR", {"params": g2.state_dict(), "params_ema": sd}),
    ("{netG, netD}", "training loops", {"netG": sd, "netD": d.state_dict()}),
    ("{G, D, optG, optD}", "training loops", {"G": sd, "D": d.state_dict(), "optG": optim, "optD": optim}),
    ("{gen, dis}, unknown names", "training loops", {"gen": sd, "dis": d.state_dict(), "steps": 12}),
    ("{models: {generator: …}}", "ignite, catalyst", {"models": {"generator": sd, "discriminator": d.state_dict()}, "epoch": 1}),
    ("{shadow: …, decay}", "EMA classes", {"shadow": dict(sd), "decay": 0.999}),
    ("{state_dict: {module.…}}", "training loops", {"state_dict": wrapped("module."), "best": 0.5}),
    ("[epoch, state dict]", "lists", [3, sd]),
    ("(state dict, options)", "tuples", (sd, {"lr": 2e-4})),
    ("{state_dict, hyper_parameters, callbacks, loops}", "Lightning", {
        "epoch": 7, "global_step": 9, "pytorch-lightning_version": "2.4.0", "state_dict": prefixed(netG=g, netD=d), "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best": torch.tensor(0.5), "path": "a"}}, "optimizer_states": [optim], "lr_schedulers": [],
        "hparams_name": "kwargs", "hyper_parameters": Attributes(lr=2e-4, opt=argparse.Namespace(name="horses"))}),
    ("{meta, state_dict, optimizer}", "mmcv", {"meta": {"iter": 5, "time": "now", "CLASSES": None}, "state_dict": prefixed(**{"generators.photo": g}), "optimizer": {"generators": optim}}),
    ("{arch, state_dict, args: Namespace}", "timm, ImageNet's example", {"arch": "resnet", "state_dict": sd, "args": argparse.Namespace(lr=1.0), "epoch": 1}),
    ("{module: …}", "DeepSpeed", {"module": sd, "global_steps": 3, "ds_config": {"train_batch_size": 1}, "ds_version": "0.14", "dp_world_size": 1}),
    ("a network pickled whole", "torch.save(net)", g),
    ("the same, legacy", "torch.save(net) before 1.6", None),
    ("a DataParallel network pickled whole", "torch.save(net)", nn.DataParallel(g)),
    ("{net: network}", "torch.save", {"net": g, "epoch": 3}),
    ("an object with a network", "torch.save(trainer)", Trainer(g)),
    ("nn.Sequential pickled whole", "torch.save(net.model)", None),
]:
    if kind == "the same, legacy":
        add(W, kind, pth, save(g, **legacy), "image", origin, net=g)
    elif kind.startswith("nn.Sequential"):
        add(W, kind, pth, save(g.model), "image", origin, net=g)
    else:
        add(W, kind, pth, save(thing), "image", origin, net=g)
for kind, origin, thing, entry in [
    ("`netG_A.`, `netG_B.`, `netD_A.`", "CycleGAN in one dict", prefixed(netG_A=g, netG_B=g2, netD_A=d), "netG_A"),
    ("`generators.photo.`, `generators.paint.`", "mmcv", prefixed(**{"generators.photo": g, "generators.paint": g2}), "generators.photo"),
    ("`G_A.module.`, `G_B.module.`", "DataParallel in one dict", prefixed(**{"G_A.module": g, "G_B.module": g2}), "G_A"),
    ("{G_A, G_B, D_A}", "training loops", {"G_A": sd, "G_B": g2.state_dict(), "D_A": d.state_dict()}, "G_A"),
    ("{g_ema, g, d}", "StyleGAN's loops", {"g": g2.state_dict(), "d": d.state_dict(), "g_ema": sd}, "g_ema"),
    ("`online_model.`, `ema_model.`", "ema-pytorch", both_ema, "ema_model"),
    ("[G, D, G_ema]", "lists", [g2.state_dict(), d.state_dict(), sd], "2"),
]:
    add(W, kind, pth, save(thing), "refused", origin, words=["several networks", f"{entry}: resnet"], advice=entry)
    add(W, f"{kind} with --entry {entry}", pth, save(thing), "image", origin, net=g, args=["--entry", entry])
flat_pair = {k: v.clone() for k, v in prefixed(netG_A=g, netG_B=g2).items()}
add(W, "the same as safetensors, --entry netG_B", ".safetensors", lambda path: save_file(flat_pair, path), "image", "safetensors", net=g2, args=["--entry", "netG_B"])

# ---- objects beside the weights ---------------------------------------------------------------------------------------

O = "objects beside"
for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.listconfig", "wandb", "wandb.sdk"):
    sys.modules.setdefault(name, types.ModuleType(name))


def stand_in(module, name, base=object):
    """A class as a package that is not installed here has it."""
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


DictConfig, ListConfig = stand_in("omegaconf.dictconfig", "DictConfig"), stand_in("omegaconf.listconfig", "ListConfig")
config = DictConfig()
config.__dict__.update(_content={"lr": 2e-4, "sizes": ListConfig()}, _metadata=None, _parent=None)


class Mode(enum.Enum):
    TRAIN = 1


@dataclasses.dataclass
class Options:
    lr: float = 2e-4
    name: str = "a"


Pair = collections.namedtuple("Pair", "a b")
scheduler = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD(g.parameters(), 0.1), lr_lambda=lambda epoch: 1.0)
for kind, thing in [
    ("argparse.Namespace", argparse.Namespace(lr=2e-4, gpu_ids=[0])),
    ("SimpleNamespace", types.SimpleNamespace(a=1)),
    ("NumPy scalars", [np.float64(0.5), np.float32(1), np.int64(3), np.bool_(True)]),
    ("NumPy arrays", {"a": np.arange(6.0).reshape(2, 3), "s": np.array(["a", "b"])}),
    ("pathlib.Path", pathlib.Path("/data/horses")),
    ("datetime", [datetime.datetime(2024, 1, 2), datetime.date(2024, 1, 2), datetime.timedelta(3), datetime.timezone.utc]),
    ("defaultdict, Counter, deque", [collections.defaultdict(list, a=[1]), collections.Counter("aab"), collections.deque([1, 2], 3)]),
    ("sets", [{1, 2}, frozenset({3})]),
    ("OmegaConf", config),
    ("torch.Size, dtype, device", [torch.Size([1, 2]), torch.float16, torch.device("cuda:0")]),
    ("enum, dataclass, named tuple", [Mode.TRAIN, Options(), Pair(1, 2)]),
    ("Decimal, Fraction, UUID", [decimal.Decimal("0.1"), fractions.Fraction(1, 3), uuid.UUID(int=5)]),
    ("complex, bytes, bytearray, range, slice", [1j, b"ab", bytearray(b"cd"), range(3), slice(1, 2)]),
    ("large and negative integers", [2**70, -2**70, -1, 2**31, 300, -1.5]),
    ("random states", [random.getstate(), np.random.get_state(), torch.get_rng_state()]),
    ("a NumPy generator", np.random.default_rng(3)),
    ("an optimizer object", opt),
    ("a scheduler's state", scheduler.state_dict()),
    ("functions and classes", [foreign.conv_norm_relu, nn.ReLU, foreign.MlcConv]),
    ("a loss module", nn.L1Loss()),
    ("a deep structure", {"a": [{"b": ({"c": [None, True, "d" * 300]},)}]}),
    ("text of every kind", ["größer", "日本", "", "a\nb"]),
    ("a transform", [nn.Sequential(nn.ReLU(), nn.Identity())]),
    ("itself", None),
]:
    if kind == "itself":
        thing = {"a": 1}
        thing["self"] = thing
    add(O, kind, pth, save({"state_dict": sd, "beside": thing, "epoch": 3}), "image", "training loops", net=g)

# ---- parametrizations -------------------------------------------------------------------------------------------------

P = "parametrizations"


def parametrized(norm, net):
    for module in list(net.modules()):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            norm(module)
    with torch.no_grad():
        for _ in range(3):
            net(photos[32])
    return net.eval()


for kind, origin, norm in [
    ("spectral norm, old", "nn.utils.spectral_norm", nn.utils.spectral_norm),
    ("spectral norm, new", "nn.utils.parametrizations", nn.utils.parametrizations.spectral_norm),
    ("weight norm, old", "nn.utils.weight_norm", nn.utils.weight_norm),
    ("weight norm, new", "nn.utils.parametrizations", nn.utils.parametrizations.weight_norm),
]:
    net = parametrized(norm, nets.ResnetGenerator(ngf=4, n_blocks=2))
    add(P, kind, pth, save(net.state_dict()), "image", origin, net=net)
net = parametrized(nn.utils.spectral_norm, nets.UnetGenerator(ngf=4, num_downs=5, norm="instance"))
add(P, "spectral norm in a U-Net", pth, save(net.state_dict()), "image", "nn.utils.spectral_norm", net=net)
net = nets.ResnetGenerator(ngf=4, n_blocks=2)
for parent in list(net.modules()):
    for name, child in list(parent._modules.items()):
        if isinstance(child, (nn.Conv2d, nn.ConvTranspose2d)):
            parent._modules[name] = foreign.SpectralWrapper(child)
state = copy.deepcopy(net.state_dict())
add(P, "SpectralNorm(layer) with `weight_bar`", pth, save(state), "image", "a wrapper that is copied", net=net)

# ---- other names ------------------------------------------------------------------------------------------------------

N = "other names"


def sorted_safetensors(net):
    return lambda path: save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)


affine, batch = foreign.affine, nn.BatchNorm2d
S = foreign.StagedResnet
for kind, origin, net, more in [
    ("initial, down_blocks, res_blocks, up_blocks, last", "Machine-Learning-Collection, CycleGAN", foreign.MlcResnet(), {}),
    ("the same, affine", "Machine-Learning-Collection", foreign.MlcResnet(norm=affine), {}),
    ("model.N.block.M, upsampling", "PyTorch-GAN, CycleGAN", foreign.GanResnet(), {}),
    ("res_model.N.res_block.M", "cycleGAN-PyTorch", foreign.ArnabResnet(), {}),
    ("res_model, batch norm", "cycleGAN-PyTorch", foreign.ArnabResnet(norm=batch, dropout=False), BN),
    ("model.N.conv, model.N.block.M.conv", "mmgeneration", foreign.MmResnet(), {}),
    ("the same with `.bn`", "mmgeneration", foreign.MmResnet(norm=batch, name="bn"), BN),
    ("conv1, norm1, blocks.N.conv_a, deconv1", "tutorials", foreign.NamedResnet(), {}),
    ("the same, batch norm of the image", "tutorials", foreign.NamedResnet(norm=batch), dict(mode="train")),
    ("the same, resize-convolutions", "tutorials", foreign.NamedResnet(resize="reflect"), {}),
    ("the same, resizing with zeros", "tutorials", foreign.NamedResnet(resize="zero"), dict(args=["--assume", "upsample=resize_zero"])),
    ("the same, blocks that pad zeros", "tutorials", foreign.NamedResnet(blocks_pad="zero"), dict(args=["--assume", "padding=zero"])),
    ("encoder, transformer, decoder", "tutorials", S(), {}),
    ("the same, no biases, affine", "tutorials", S(norm=affine, bias=False), {}),
    ("the same, batch norm", "tutorials", S(norm=batch, bias=False), BN),
    ("contracting, residual, expanding", "courses", S(norm=affine, names=("contracting", "residual", "expanding")), {}),
    ("anti-aliased under other names", "forks of CUT", S(antialias=True), {}),
    ("resizing decoder", "tutorials", S(resize=True), {}),
    ("down1 …, up1 …, final: 5 halvings", "PyTorch-GAN, pix2pix", foreign.GanUnet(), {}),
    ("down1 … down8, up1 … up7, final", "PyTorch-GAN, pix2pix", foreign.GanUnet(2, 8), dict(side=256)),
    ("initial_down, down1 …, bottleneck, up1 …, final_up", "Machine-Learning-Collection, pix2pix", foreign.MlcUnet(2, 8), dict(side=256, **BN)),
    ("the same, statistics of the image", "Machine-Learning-Collection", foreign.MlcUnet(4, 5), dict(mode="train")),
    ("conv1 …, conv2_bn …, deconv1 …", "pytorch-pix2pix", foreign.FunctionUnet(), BN),
    ("the same, 8 halvings", "pytorch-pix2pix", foreign.FunctionUnet(2, 8), dict(side=256, **BN)),
    ("the same, affine instance norm", "pytorch-pix2pix", foreign.FunctionUnet(norm=affine), {}),
    ("encoder.N, decoder.N", "tutorials", foreign.ListUnet(), BN),
    ("encoder.N, decoder.N, instance norm", "tutorials", foreign.ListUnet(norm=foreign.instance), {}),
    ("encoder.N, decoder.N, activations in front", "tutorials", foreign.ListUnet(behind=False), BN),
    ("downs.N, ups.N, biased", "tutorials", foreign.ListUnet(names=("downs", "ups"), bias=True), BN),
    ("down_stack.N, up_stack.N", "tutorials", foreign.ListUnet(names=("down_stack", "up_stack")), dict(mode="train")),
    ("model.model.N.conv, nested", "mmgeneration, pix2pix", foreign.MmUnet(), BN),
    ("the same, affine instance norm", "mmgeneration", foreign.MmUnet(norm=affine), {}),
]:
    net = shaken(net)
    add(N, kind, pth, save(net.state_dict()), "image", origin, net=net, mapped=True, **more)
for kind, net, more in [
    ("MlcResnet", foreign.MlcResnet(), {}),
    ("StagedResnet", S(norm=affine), {}),
    ("GanUnet", foreign.GanUnet(), {}),
    ("MlcUnet", foreign.MlcUnet(4, 5), BN),
    ("FunctionUnet", foreign.FunctionUnet(), BN),
    ("ListUnet", foreign.ListUnet(), BN),
    ("MmUnet", foreign.MmUnet(), BN),
]:
    net = shaken(net)
    origin = {"MlcResnet": "Machine-Learning-Collection, CycleGAN", "StagedResnet": "encoder, transformer, decoder", "GanUnet": "PyTorch-GAN, pix2pix",
              "MlcUnet": "Machine-Learning-Collection, pix2pix", "FunctionUnet": "pytorch-pix2pix", "ListUnet": "encoder.N, decoder.N", "MmUnet": "mmgeneration, pix2pix"}[kind]
    add(N, "names sorted", ".safetensors", sorted_safetensors(net), "image", origin, net=net, mapped=True, **more)
for kind, net in [
    ("batch norm without running statistics, ResNet", nets.ResnetGenerator(ngf=4, n_blocks=2, norm="batch")),
    ("batch norm without running statistics, U-Net", nets.UnetGenerator(ngf=4, num_downs=5)),
]:
    for module in shaken(net).modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var, module.num_batches_tracked = False, None, None, None
    add(N, kind, pth, save(net.state_dict()), "image", "without track_running_stats", net=net, mapped=True)
net = shaken(foreign.ListUnet(skip_first=True))
add(N, "encoder.N, decoder.N, skips in front", pth, save(net.state_dict()), "image", "tutorials", net=net, mapped=True, args=["--eval", "--assume", "skip_first=true"])
net = shaken(foreign.MlcUnet(4, 5))
add(N, "a U-Net under a prefix beside a discriminator", pth, save({"gen": None, "state_dict": prefixed(**{"net_g.module": net, "net_d": d})}), "image", "Lightning", net=net, mapped=True, **BN)
net = shaken(foreign.GanUnet())
add(N, "a U-Net pickled whole", pth, save(net), "image", "PyTorch-GAN, pix2pix", net=net, mapped=True)
net = shaken(foreign.MlcResnet())
extra = {**net.state_dict(), "steps": torch.tensor(3)}
(out / "keys.toml").write_text('"steps" = ""\n')
add(N, "a tensor too many, --keys", pth, save(extra), "image", "by hand", net=net, mapped=True, args=["--keys", "keys.toml"])
add(N, "a tensor too many", pth, save(extra), "refused", "by hand", words=["unknown network"])
# ---- refused ----------------------------------------------------------------------------------------------------------

X = "no weights of a network here"
script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
add(X, "TorchScript", ".pt", lambda path: script.save(str(path)), "refused", "torch.jit.save", words=["TorchScript", "torch.jit.load(path).state_dict()"])
add(X, "TorchScript, traced", ".pt", lambda path: torch.jit.trace(g.eval(), photos[32]).save(str(path)), "refused", "torch.jit.trace", words=["TorchScript"])


def exported(path):
    torch.export.save(torch.export.export(g.eval(), (photos[32],)), str(path))


add(X, "torch.export", ".pt2", exported, "refused", "torch.export.save", words=["torch.export", "torch.export.load"])


def packaged(path):
    with torch.package.PackageExporter(str(path)) as exporter:
        exporter.save_pickle("g", "g.pkl", {"a": 1})


add(X, "torch.package", ".pt", packaged, "refused", "PackageExporter", words=["torch.package"])


def onnx_file(path):
    import onnx
    from onnx import TensorProto, helper
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    io_ = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", io_[:1], io_[1:])), str(path))


def npz(path):
    with open(path, "wb") as file:
        np.savez(file, **{k: v.numpy() for k, v in sd.items()})


def tar(names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


add(X, "ONNX", ".onnx", onnx_file, "refused", "torch.onnx.export", words=["an ONNX model", "torch.save(net.state_dict(), path)"])
add(X, "NumPy array", ".npy", lambda path: np.save(open(path, "wb"), np.zeros(3)), "refused", "numpy.save", words=["NumPy array", "safetensors.numpy"])
add(X, "NumPy archive", ".npz", npz, "refused", "numpy.savez", words=["NumPy archive", "safetensors.numpy"])
whole = torch_file()
lightning = {"weight_map": {"model.1.weight": "model-00001-of-00002.safetensors"}, "metadata": {"total_size": 3}}
sharded = {"weight_map": {"model.1.weight": "pytorch_model-00001-of-00002.bin"}}
for kind, origin, suffix, content, words in [
    ("Git LFS pointer", "git clone without LFS", pth, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", ["Git LFS pointer", "git lfs pull"]),
    ("HTML page", "a link to a page", pth, b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>", ["an HTML page", "download"]),
    ("XML error page", "object stores", pth, b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>', ["an XML page", "download"]),
    ("JSON", "a web service", pth, b'{"error": "not found"}', ["a JSON file"]),
    ("safetensors index", "Hugging Face", ".json", json.dumps(lightning).encode(), ["the index of weights in several files", "safetensors.torch.load_file"]),
    (".bin index", "Hugging Face", ".json", json.dumps(sharded).encode(), ["the index of weights in several files", "torch.load"]),
    ("text", "a web service", pth, b"Entry not found", ['begins with "Entry not found"']),
    ("an empty file", "a broken download", pth, b"", ["it is empty"]),
    ("zeros", "a broken download", pth, bytes(4096), ["nothing but zeros"]),
    ("cut short", "a broken download", pth, whole[: len(whole) // 2], ["cut short", "download"]),
    ("cut short, safetensors", "a broken download", ".safetensors", None, ["download"]),
    ("a flipped bit", "a broken disk", pth, None, ["checksum"]),
    ("HDF5", "Keras", ".h5", b"\x89HDF\r\n\x1a\n" + bytes(64), ["an HDF5 file", "torch.save"]),
    ("Keras 3", "Keras", ".keras", zipped(**{"config.json": "{}", "model.weights.h5": b"\x89HDF"}), ["a Keras model"]),
    ("TensorFlow checkpoint", "TensorFlow", ".index", bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", ["a TensorFlow checkpoint"]),
    ("TensorFlow's checkpoint file", "TensorFlow", "", b'model_checkpoint_path: "model-3"\n', ["the index of TensorFlow"]),
    ("SavedModel", "TensorFlow", ".pb", b"\x08\x01\x12\xff\x03", ["a TensorFlow model"]),
    ("TensorFlow Lite", "TensorFlow", ".tflite", b"\x1c\0\0\0TFL3" + bytes(32), ["TensorFlow Lite"]),
    ("MessagePack", "Flax", ".msgpack", b"\x81\xa6params\x81\xa4conv\x81\xa6kernel\xc7", ["MessagePack"]),
    ("Torch7", "lua", ".t7", b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", ["Torch7"]),
    ("MATLAB", "MATLAB", ".mat", b"MATLAB 5.0 MAT-file", ["MATLAB"]),
    ("GGUF", "llama.cpp", ".gguf", b"GGUF\x03\0\0\0", ["GGUF"]),
    ("OpenVINO", "OpenVINO", ".xml", b'<?xml version="1.0"?>\n<net name="g" version="11">', ["OpenVINO"]),
    ("a tar archive", "archivers", ".tar", tar(["a.pth"]), ["a tar archive", "unpack"]),
    ("the tar container of 2016", "PyTorch before 2017", pth, tar(["sys_info", "pickle", "tensors", "storages"]), ["tar container"]),
    ("gzip", "archivers", ".gz", b"\x1f\x8b\x08" + bytes(20), ["a gzip file", "unpack"]),
    ("a zip of weight files", "archivers", ".zip", zipped(**{"nets/latest_net_G.pth": whole}), ["holds nets/latest_net_G.pth", "unpack"]),
    ("a PNG image", "a wrong path", ".png", (out / "photo_32.png").read_bytes(), ["a PNG image"]),
    ("bare pickle", "pickle.dump", ".pkl", pickle.dumps({"a": 1}), ["a bare pickle", "pickle.load"]),
    ("bare pickle, protocol 0", "Python 2", ".pkl", pickle.dumps(collections.OrderedDict(a=1), 0), ["a bare pickle", "pickle.load"]),
]:
    if kind.startswith("cut short, s"):
        buffer = out / "cut"
        save_file(sd, buffer)
        content = buffer.read_bytes()[:5000]
        buffer.unlink()
    if kind == "a flipped bit":
        middle = bytearray(whole)
        middle[whole.index(sd["model.1.weight"].numpy().tobytes()[:16]) + 3] ^= 16
        content = bytes(middle)
    add(X, kind, suffix, data(content), "refused", origin, words=words)
quantized = {k: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8) if v.dim() > 1 else v for k, v in sd.items()}
sparse = {k: v.to_sparse() if v.dim() > 1 else v for k, v in sd.items()}
nan, infinite = copy.deepcopy(sd), copy.deepcopy(sd)
nan["model.4.weight"][0, 0, 0, 0] = float("nan")
infinite["model.1.bias"][1] = float("inf")


class Attack:
    def __init__(self, function, *args):
        self.what = (function, args)

    def __reduce__(self):
        return self.what


import os  # noqa: E402

meta = nets.ResnetGenerator(ngf=4, n_blocks=2).to("meta")
for kind, origin, write, words in [
    ("an optimizer alone", "training loops", save(optim), ["the state of an optimizer and no weights"]),
    ("optimizer and epoch", "training loops", save({"optimizer": optim, "epoch": 3}), ["the state of an optimizer and no weights"]),
    ("a scheduler's state", "training loops", save({"last_epoch": 3, "base_lrs": [0.1]}), ["no state dict"]),
    ("EMA without names", "torch-ema", save({"decay": 0.99, "num_updates": 3, "shadow_params": [p.data for p in g.parameters()], "collected_params": None}), ["tensors without names"]),
    ("a list of parameters", "torch.save(list(net.parameters()))", save([p.data for p in g.parameters()]), ["tensors without names"]),
    ("NumPy arrays by name", "torch.save of arrays", save({k: v.numpy() for k, v in sd.items()}), ["a NumPy array (torch.from_numpy"]),
    ("quantized weights", "torch.quantization", save(quantized), ["model.1.weight is a quantized tensor (dequantize()"]),
    ("sparse weights", "pruning", save(sparse), ["model.1.weight is a sparse tensor (to_dense()"]),
    ("weights of the device meta", "init on meta", save(meta.state_dict()), ['"meta", which has no numbers']),
    ("int8 weights", "by hand", save({k: v.to(torch.int8) for k, v in sd.items()}), ["int8, with which no network computes"]),
    ("float8 weights", "by hand", save({k: v.to(torch.float8_e4m3fn) for k, v in sd.items()}), ["float8_e4m3fn, with which no network computes"]),
    ("big-endian", "s390x", repacked(0, change=lambda name, content: b"big" if name.endswith("byteorder") else content), ["big-endian"]),
    ("NaN", "diverged training", save(nan), ["model.4.weight holds NaN"]),
    ("an infinity", "diverged training", save(infinite), ["model.1.bias holds inf"]),
    ("a discriminator alone", CYCLE, save(d.state_dict()), ["PatchGAN discriminator", "only generators translate"]),
    ("os.system", "an attack", save({"state_dict": sd, "a": Attack(os.system, "true")}), ["refused", "system"]),
    ("eval", "an attack", save({"state_dict": sd, "a": Attack(eval, "1")}), ["refused", "eval"]),
    ("a missing layer", "a broken script", save({k: v for k, v in sd.items() if k != "model.4.weight"}), ["unknown network"]),
    ("half of a block", "a broken script", save({k: v for k, v in sd.items() if k != "model.10.conv_block.5.bias"}), ["model.10.conv_block.5.bias is missing"]),
    ("U-Net of double convolutions", "Pytorch-UNet", save(foreign.DoubleConvUnet().state_dict()), ["a U-Net of double convolutions"]),
    ("SPADE", "SPADE", save(foreign.Spade().state_dict()), ["SPADE"]),
    ("U-GAT-IT", "U-GAT-IT", save(foreign.UGatIt().state_dict()), ["U-GAT-IT"]),
    ("StarGAN", "StarGAN", save(foreign.StarGan().state_dict()), ["unknown network"]),
    ("fast style transfer", "PyTorch's examples", save(foreign.StyleTransfer().state_dict()), ["fast style transfer"]),
    ("a classifier", "torchvision", save(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)).state_dict()), ["unknown network"]),
]:
    add(X, kind, pth, write, "refused", origin, words=words)

(out / "cases.json").write_text(json.dumps(cases, indent=1))
print(f"{len(cases)} files in {out}")
