"""PyTorch oracle of the networks, for parity data and key snapshots.

Every class reproduces the layer order of the published reference, so that its
`state_dict()` carries the same keys as a checkpoint trained with it.
"""
import functools

import torch
import torch.nn as nn
import torch.nn.functional as F


def norm_layer(kind):
    if kind == "batch":
        return functools.partial(nn.BatchNorm2d, affine=True, track_running_stats=True)
    if kind == "instance":
        return functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False)
    if kind == "instance_affine":
        return functools.partial(nn.InstanceNorm2d, affine=True, track_running_stats=False)
    if kind == "none":
        return lambda _: nn.Identity()
    raise ValueError(kind)


def uses_bias(kind):
    """Convolutions in front of instance norm keep their bias, those in front of batch norm do not."""
    return kind in ("instance", "instance_affine")


class ResnetBlock(nn.Module):
    def __init__(self, dim, padding, norm, dropout, bias):
        super().__init__()
        layers = []
        for half in range(2):
            p = 0
            if padding == "reflect":
                layers.append(nn.ReflectionPad2d(1))
            elif padding == "replicate":
                layers.append(nn.ReplicationPad2d(1))
            else:
                p = 1
            layers += [nn.Conv2d(dim, dim, 3, padding=p, bias=bias), norm(dim)]
            if half == 0:
                layers.append(nn.ReLU(True))
                if dropout:
                    layers.append(nn.Dropout(0.5))
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


class Blur(nn.Module):
    """A depth-wise filter, the products of `taps`, with a sum of `gain`; state dicts hold it."""

    def __init__(self, channels, taps, gain):
        super().__init__()
        row = torch.tensor(taps)
        self.register_buffer("filt", (row[:, None] * row * (gain / row.sum() ** 2)).repeat(channels, 1, 1, 1))


class BlurPool(Blur):
    """CUT's halving: every second value of the blurred image, its border reflected."""

    def __init__(self, channels):
        super().__init__(channels, [1.0, 2.0, 1.0], 1.0)

    def forward(self, x):
        return F.conv2d(F.pad(x, [1] * 4, "reflect"), self.filt, stride=2, groups=x.shape[1])


class BlurUpsample(Blur):
    """CUT's doubling: zeros between the values, blurred; the border is replicated, and what it adds is cut off."""

    def __init__(self, channels):
        super().__init__(channels, [1.0, 3.0, 3.0, 1.0], 4.0)

    def forward(self, x):
        return F.conv_transpose2d(F.pad(x, [1] * 4, "replicate"), self.filt, stride=2, padding=3, groups=x.shape[1])


class ResnetGenerator(nn.Module):
    """With `antialias` and `antialias_up` that of CUT."""

    def __init__(self, in_nc=3, out_nc=3, ngf=64, norm="instance", dropout=False, n_blocks=9, padding="reflect",
                 upsample="deconv", antialias=False, antialias_up=False):
        super().__init__()
        n, bias = norm_layer(norm), uses_bias(norm)
        m = [nn.ReflectionPad2d(3), nn.Conv2d(in_nc, ngf, 7, bias=bias), n(ngf), nn.ReLU(True)]
        for i in range(2):
            c = ngf * 2**i
            m += [nn.Conv2d(c, c * 2, 3, stride=1 if antialias else 2, padding=1, bias=bias), n(c * 2), nn.ReLU(True)]
            m += [BlurPool(c * 2)] * antialias
        for _ in range(n_blocks):
            m.append(ResnetBlock(ngf * 4, padding, n, dropout, bias))
        for i in range(2):
            c = ngf * 2 ** (2 - i)
            if antialias_up:
                m += [BlurUpsample(c), nn.Conv2d(c, c // 2, 3, padding=1, bias=bias)]
            else:
                m += doubling(c, c // 2, bias, upsample)
            m += [n(c // 2), nn.ReLU(True)]
        m += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*m)

    def forward(self, x):
        return self.model(x)

    def features(self, x, layers):
        """What the modules `layers` put out, nothing behind the last one computed. A ReLU in place changes what is kept of the module before it."""
        kept = {}
        for i, module in enumerate(self.model[: max(layers) + 1]):
            x = kept[i] = module(x)
        return [kept[i] for i in layers]


class WithFeatures(nn.Module):
    """A generator's image, then its features."""

    def __init__(self, generator, layers):
        super().__init__()
        self.model, self.layers = generator.model, layers

    def forward(self, x):
        kept = {}
        for i, module in enumerate(self.model):
            x = kept[i] = module(x)
        return [x] + [kept[i] for i in self.layers]


class PatchSample(nn.Module):
    """CUT's head: features [N,C,H,W] at positions y * W + x, through perceptrons unless `mlp` is off, to rows of length 1."""

    def __init__(self, widths, nc=256, mlp=True):
        super().__init__()
        self.count = len(widths) * mlp
        for i, c in enumerate(widths[: self.count]):
            self.add_module(f"mlp_{i}", nn.Sequential(nn.Linear(c, nc), nn.ReLU(), nn.Linear(nc, nc)))

    def forward(self, features, positions):
        def rows(i, x, at):
            x = x.flatten(2)[..., at].permute(0, 2, 1).reshape(-1, x.shape[1])
            x = self.get_submodule(f"mlp_{i}")(x) if i < self.count else x
            return x / (x.norm(dim=1, keepdim=True) + 1e-7)

        return [rows(i, x, at) for i, (x, at) in enumerate(zip(features, positions))]


def doubling(in_nc, out_nc, bias, upsample, kernel=3):
    """What doubles the size; a U-Net has kernels of 4."""
    if upsample == "deconv":
        return [nn.ConvTranspose2d(in_nc, out_nc, kernel, 2, 1, output_padding=4 - kernel, bias=bias)]
    if upsample == "resize":
        return [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(in_nc, out_nc, 3, bias=bias)]
    return [nn.Upsample(scale_factor=2), nn.Conv2d(in_nc, out_nc, 3, padding=1, bias=bias)]


class UnetBlock(nn.Module):
    def __init__(self, outer, inner, in_nc=None, sub=None, where="middle", norm=None, dropout=False, bias=False,
                 upsample="deconv"):
        super().__init__()
        self.where = where
        in_nc = outer if in_nc is None else in_nc
        down = nn.Conv2d(in_nc, inner, 4, stride=2, padding=1, bias=bias)
        if where == "outermost":
            m = [down, sub, nn.ReLU(True), *doubling(inner * 2, outer, True, upsample, 4), nn.Tanh()]
        elif where == "innermost":
            m = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), *doubling(inner, outer, bias, upsample, 4), norm(outer)]
        else:
            up = doubling(inner * 2, outer, bias, upsample, 4)
            m = [nn.LeakyReLU(0.2, True), down, norm(inner), sub, nn.ReLU(True), *up, norm(outer)]
            if dropout:
                m.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*m)

    def forward(self, x):
        # The in-place LeakyReLU of the reference changes the skip as well: the skip carries LeakyReLU(x).
        y = self.model(x)
        return y if self.where == "outermost" else torch.cat([x, y], 1)


class UnetGenerator(nn.Module):
    def __init__(self, in_nc=3, out_nc=3, num_downs=8, ngf=64, norm="batch", dropout=False, upsample="deconv"):
        super().__init__()
        block = functools.partial(UnetBlock, norm=norm_layer(norm), bias=uses_bias(norm), upsample=upsample)
        blk = block(ngf * 8, ngf * 8, where="innermost")
        for _ in range(num_downs - 5):
            blk = block(ngf * 8, ngf * 8, sub=blk, dropout=dropout)
        blk = block(ngf * 4, ngf * 8, sub=blk)
        blk = block(ngf * 2, ngf * 4, sub=blk)
        blk = block(ngf, ngf * 2, sub=blk)
        self.model = block(out_nc, ngf, in_nc=in_nc, sub=blk, where="outermost")

    def forward(self, x):
        return self.model(x)


class PostActivationBlock(nn.Module):
    """As reimplementations of the U-Net have it: activations behind norms."""

    def __init__(self, outer, inner, in_nc=None, sub=None, where="middle", norm=None, bias=False, layout="post_activation", reflect=False):
        super().__init__()
        self.where = where
        pads = reflect and where != "innermost"
        down = [nn.ReflectionPad2d(1)] * pads
        down.append(nn.Conv2d(outer if in_nc is None else in_nc, inner, 4, 2, 0 if pads else 1, bias=bias or where != "middle"))
        leaky = nn.LeakyReLU(0.2)
        if where == "outermost":
            last = nn.ConvTranspose2d(inner * 2, outer, 6, 2, 2) if layout == "post_activation_resize" else nn.ConvTranspose2d(inner * 2, outer, 4, 2, 1)
            m = [*down, leaky, sub, last, nn.Tanh()]
        elif where == "innermost":
            # The empty place tells the layout in the keys.
            act = [nn.Identity(), nn.ReLU()] if layout == "post_activation_relu" else [leaky]
            m = [*down, *act, nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=bias), norm(outer), nn.ReLU()]
        else:
            m = [*down, norm(inner), leaky, sub, nn.ConvTranspose2d(inner * 2, outer, 4, 2, 1, bias=bias), norm(outer), nn.ReLU()]
        self.model = nn.Sequential(*m)

    def forward(self, x):
        y = self.model(x)
        return y if self.where == "outermost" else torch.cat([x, y], 1)


class PostActivationUnet(nn.Module):
    def __init__(self, in_nc=3, out_nc=3, num_downs=5, ngf=64, norm="batch", layout="post_activation", reflect=False):
        super().__init__()
        block = functools.partial(PostActivationBlock, norm=norm_layer(norm), bias=uses_bias(norm), layout=layout, reflect=reflect)
        widths = [ngf * min(8, 2**level) for level in range(num_downs)]
        blk, where = None, "innermost"
        for level in range(num_downs - 1, 0, -1):
            blk, where = block(widths[level - 1], widths[level], sub=blk, where=where), "middle"
        self.model = block(out_nc, ngf, in_nc=in_nc, sub=blk, where="outermost")

    def forward(self, x):
        return self.model(x)


class PatchDiscriminator(nn.Module):
    """N-layer PatchGAN (70x70 at n_layers=3); with `antialias` that of CUT."""

    def __init__(self, in_nc, ndf=64, n_layers=3, norm="batch", antialias=False):
        super().__init__()
        n, b = norm_layer(norm), uses_bias(norm)
        stride = 1 if antialias else 2
        m = [nn.Conv2d(in_nc, ndf, 4, stride, 1), nn.LeakyReLU(0.2, True)] + [BlurPool(ndf)] * antialias
        mult = 1
        for i in range(1, n_layers):
            prev, mult = mult, min(2**i, 8)
            m += [nn.Conv2d(ndf * prev, ndf * mult, 4, stride, 1, bias=b), n(ndf * mult), nn.LeakyReLU(0.2, True)]
            m += [BlurPool(ndf * mult)] * antialias
        prev, mult = mult, min(2**n_layers, 8)
        m += [nn.Conv2d(ndf * prev, ndf * mult, 4, 1, 1, bias=b), n(ndf * mult), nn.LeakyReLU(0.2, True)]
        m.append(nn.Conv2d(ndf * mult, 1, 4, 1, 1))
        self.model = nn.Sequential(*m)

    def forward(self, x):
        return self.model(x)


class PixelDiscriminator(nn.Module):
    def __init__(self, in_nc, ndf=64, norm="batch"):
        super().__init__()
        n, b = norm_layer(norm), uses_bias(norm)
        self.net = nn.Sequential(
            nn.Conv2d(in_nc, ndf, 1), nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf, ndf * 2, 1, bias=b), n(ndf * 2), nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf * 2, 1, 1, bias=b))

    def forward(self, x):
        return self.net(x)


# ---- pix2pixHD ------------------------------------------------------------------------------------------------------

def hd_norm(kind):
    if kind == "batch":
        return functools.partial(nn.BatchNorm2d, affine=True)
    return functools.partial(nn.InstanceNorm2d, affine=False)


class HdBlock(nn.Module):
    def __init__(self, dim, norm):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), norm(dim), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), norm(dim))

    def forward(self, x):
        return x + self.conv_block(x)


class GlobalGenerator(nn.Module):
    def __init__(self, in_nc, out_nc=3, ngf=64, n_down=4, n_blocks=9, norm="instance", upsample="deconv"):
        super().__init__()
        n = hd_norm(norm)
        m = [nn.ReflectionPad2d(3), nn.Conv2d(in_nc, ngf, 7), n(ngf), nn.ReLU(True)]
        for i in range(n_down):
            c = ngf * 2**i
            m += [nn.Conv2d(c, c * 2, 3, 2, 1), n(c * 2), nn.ReLU(True)]
        m += [HdBlock(ngf * 2**n_down, n) for _ in range(n_blocks)]
        for i in range(n_down):
            c = ngf * 2 ** (n_down - i)
            m += [*doubling(c, c // 2, True, upsample), n(c // 2), nn.ReLU(True)]
        m += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*m)

    def forward(self, x):
        return self.model(x)


class LocalEnhancer(nn.Module):
    def __init__(self, in_nc, out_nc=3, ngf=32, n_down_global=3, n_blocks_global=9, n_local=1, n_blocks_local=3, norm="instance",
                 upsample="deconv"):
        super().__init__()
        n = hd_norm(norm)
        self.n_local = n_local
        trunk = GlobalGenerator(in_nc, out_nc, ngf * 2**n_local, n_down_global, n_blocks_global, norm, upsample).model
        self.model = nn.Sequential(*list(trunk)[:-3])  # without its last pad, convolution and tanh
        for k in range(1, n_local + 1):
            c = ngf * 2 ** (n_local - k)
            down = [nn.ReflectionPad2d(3), nn.Conv2d(in_nc, c, 7), n(c), nn.ReLU(True),
                    nn.Conv2d(c, c * 2, 3, 2, 1), n(c * 2), nn.ReLU(True)]
            up = [HdBlock(c * 2, n) for _ in range(n_blocks_local)]
            up += [*doubling(c * 2, c, True, upsample), n(c), nn.ReLU(True)]
            if k == n_local:
                up += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_nc, 7), nn.Tanh()]
            setattr(self, f"model{k}_1", nn.Sequential(*down))
            setattr(self, f"model{k}_2", nn.Sequential(*up))
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x):
        pyramid = [x]
        for _ in range(self.n_local):
            pyramid.append(self.pool(pyramid[-1]))
        y = self.model(pyramid[-1])
        for k in range(1, self.n_local + 1):
            x_k = pyramid[self.n_local - k]
            y = getattr(self, f"model{k}_2")(getattr(self, f"model{k}_1")(x_k) + y)
        return y


class HdPatchStages(nn.Module):
    """One pix2pixHD patch discriminator, as a list of stages (their outputs feed the feature-matching loss)."""

    def __init__(self, in_nc, ndf=64, n_layers=3, norm="instance"):
        super().__init__()
        n = hd_norm(norm)
        s = [[nn.Conv2d(in_nc, ndf, 4, 2, 2), nn.LeakyReLU(0.2, True)]]
        c = ndf
        for _ in range(1, n_layers):
            p, c = c, min(c * 2, 512)
            s.append([nn.Conv2d(p, c, 4, 2, 2), n(c), nn.LeakyReLU(0.2, True)])
        p, c = c, min(c * 2, 512)
        s.append([nn.Conv2d(p, c, 4, 1, 2), n(c), nn.LeakyReLU(0.2, True)])
        s.append([nn.Conv2d(c, 1, 4, 1, 2)])
        self.stages = [nn.Sequential(*x) for x in s]


class MultiscaleDiscriminator(nn.Module):
    """`num_d` patch discriminators on an average-pooled pyramid; index num_d-1 sees the full resolution.

    With `stages` (feature matching) the keys are those of `scale{i}_layer{j}`; without, of one flat sequence `layer{i}`.
    """

    def __init__(self, in_nc, ndf=64, n_layers=3, num_d=3, norm="instance", stages=True):
        super().__init__()
        self.num_d, self.n_layers, self.by_stage = num_d, n_layers, stages
        for i in range(num_d):
            parts = HdPatchStages(in_nc, ndf, n_layers, norm).stages
            if stages:
                for j, stage in enumerate(parts):
                    setattr(self, f"scale{i}_layer{j}", stage)
            else:
                setattr(self, f"layer{i}", nn.Sequential(*[layer for stage in parts for layer in stage]))
        self.pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x):
        """Returns, finest scale first, each discriminator's list of stage outputs (the last is the score map)."""
        out = []
        for i in reversed(range(self.num_d)):
            if self.by_stage:
                feats = []
                for j in range(self.n_layers + 2):
                    feats.append(getattr(self, f"scale{i}_layer{j}")(feats[-1] if feats else x))
                out.append(feats)
            else:
                out.append([getattr(self, f"layer{i}")(x)])
            x = self.pool(x)
        return out


class FeatureEncoder(nn.Module):
    """Instance-wise feature encoder E: every instance's features are replaced by their mean over the instance."""

    def __init__(self, in_nc=3, out_nc=3, ngf=16, n_down=4, norm="instance"):
        super().__init__()
        n = hd_norm(norm)
        m = [nn.ReflectionPad2d(3), nn.Conv2d(in_nc, ngf, 7), n(ngf), nn.ReLU(True)]
        for i in range(n_down):
            c = ngf * 2**i
            m += [nn.Conv2d(c, c * 2, 3, 2, 1), n(c * 2), nn.ReLU(True)]
        for i in range(n_down):
            c = ngf * 2 ** (n_down - i)
            m += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), n(c // 2), nn.ReLU(True)]
        m += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*m)

    def forward(self, x, inst):
        """x: [B,3,H,W]; inst: integer ids [B,1,H,W]. Ids are pooled per image."""
        y = self.model(x)
        out = y.clone()
        for b in range(x.shape[0]):
            for i in torch.unique(inst[b]):
                mask = inst[b, 0] == i
                for c in range(y.shape[1]):
                    out[b, c][mask] = y[b, c][mask].mean()
        return out


class Vgg19Slices(nn.Module):
    """relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of VGG19's convolutional part (keys `features.N.*`)."""

    def __init__(self):
        super().__init__()
        cfg = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512]
        layers, c = [], 3
        for v in cfg:
            if v == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(c, v, 3, padding=1), nn.ReLU(inplace=False)]
                c = v
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        out = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (1, 6, 11, 20, 29):
                out.append(x)
        return out
