"""Generators as other repositories and tutorials write them down, for make_foreign_weights.py: their layer order and their names.

Each is written anew from what its state dict looks like and what it computes. Widths and depths are arguments.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

import nets


def instance(channels):
    return nn.InstanceNorm2d(channels)


def affine(channels):
    return nn.InstanceNorm2d(channels, affine=True)


# ---- ResNets ----------------------------------------------------------------------------------------------------------


class MlcConv(nn.Module):
    """Machine-Learning-Collection: halvings, too, mirror their border."""

    def __init__(self, in_nc, out_nc, norm, down=True, act=True, **kwargs):
        super().__init__()
        conv = nn.Conv2d(in_nc, out_nc, padding_mode="reflect", **kwargs) if down else nn.ConvTranspose2d(in_nc, out_nc, **kwargs)
        self.conv = nn.Sequential(conv, norm(out_nc), nn.ReLU() if act else nn.Identity())

    def forward(self, x):
        return self.conv(x)


class MlcResidual(nn.Module):
    def __init__(self, channels, norm):
        super().__init__()
        self.block = nn.Sequential(
            MlcConv(channels, channels, norm, kernel_size=3, padding=1),
            MlcConv(channels, channels, norm, act=False, kernel_size=3, padding=1))

    def forward(self, x):
        return x + self.block(x)


class MlcResnet(nn.Module):
    def __init__(self, ngf=4, n_blocks=3, norm=instance):
        super().__init__()
        self.initial = nn.Sequential(nn.Conv2d(3, ngf, 7, 1, 3, padding_mode="reflect"), norm(ngf), nn.ReLU())
        half = dict(kernel_size=3, stride=2, padding=1)
        self.down_blocks = nn.ModuleList([MlcConv(ngf, 2 * ngf, norm, **half), MlcConv(2 * ngf, 4 * ngf, norm, **half)])
        self.res_blocks = nn.Sequential(*[MlcResidual(4 * ngf, norm) for _ in range(n_blocks)])
        double = dict(down=False, kernel_size=3, stride=2, padding=1, output_padding=1)
        self.up_blocks = nn.ModuleList([MlcConv(4 * ngf, 2 * ngf, norm, **double), MlcConv(2 * ngf, ngf, norm, **double)])
        self.last = nn.Conv2d(ngf, 3, 7, 1, 3, padding_mode="reflect")

    def forward(self, x):
        x = self.initial(x)
        for layer in self.down_blocks:
            x = layer(x)
        x = self.res_blocks(x)
        for layer in self.up_blocks:
            x = layer(x)
        return torch.tanh(self.last(x))


class GanResidual(nn.Module):
    """PyTorch-GAN."""

    def __init__(self, channels):
        super().__init__()
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]  # noqa: E731
        self.block = nn.Sequential(*half(), nn.ReLU(), *half())

    def forward(self, x):
        return x + self.block(x)


class GanResnet(nn.Module):
    """PyTorch-GAN, cyclegan: upsampling and convolutions that pad zeros."""

    def __init__(self, ngf=4, n_blocks=3):
        super().__init__()
        m = [nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7), instance(ngf), nn.ReLU()]
        for c in (ngf, 2 * ngf):
            m += [nn.Conv2d(c, 2 * c, 3, 2, 1), instance(2 * c), nn.ReLU()]
        m += [GanResidual(4 * ngf) for _ in range(n_blocks)]
        for c in (4 * ngf, 2 * ngf):
            m += [nn.Upsample(scale_factor=2), nn.Conv2d(c, c // 2, 3, 1, 1), instance(c // 2), nn.ReLU()]
        self.model = nn.Sequential(*m, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh())

    def forward(self, x):
        return self.model(x)


def conv_norm_relu(in_nc, out_nc, norm, *conv):
    return nn.Sequential(nn.Conv2d(in_nc, out_nc, *conv), norm(out_nc), nn.ReLU())


class ArnabResidual(nn.Module):
    """cycleGAN-PyTorch: the first half of a block is a sequence of its own."""

    def __init__(self, dim, norm, dropout):
        super().__init__()
        layers = [nn.ReflectionPad2d(1), conv_norm_relu(dim, dim, norm, 3)] + [nn.Dropout(0.5)] * dropout
        self.res_block = nn.Sequential(*layers, nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), norm(dim))

    def forward(self, x):
        return x + self.res_block(x)


class ArnabResnet(nn.Module):
    def __init__(self, ngf=4, n_blocks=3, norm=instance, dropout=True):
        super().__init__()
        m = [nn.ReflectionPad2d(3), conv_norm_relu(3, ngf, norm, 7)]
        m += [conv_norm_relu(c, 2 * c, norm, 3, 2, 1) for c in (ngf, 2 * ngf)]
        m += [ArnabResidual(4 * ngf, norm, dropout) for _ in range(n_blocks)]
        for c in (4 * ngf, 2 * ngf):
            m.append(nn.Sequential(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), norm(c // 2), nn.ReLU()))
        self.res_model = nn.Sequential(*m, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh())

    def forward(self, x):
        return self.res_model(x)


class ConvModule(nn.Module):
    """mmcv: convolution, norm and activation by name."""

    def __init__(self, conv, norm=None, act=None, name="bn", first=False, pad=None):
        super().__init__()
        self.pad, self.first, self.name, self.act = pad, first, name if norm else None, act
        self.conv = conv
        if norm:
            self.add_module(name, norm)

    def forward(self, x):
        act = self.act or nn.Identity()
        x = act(x) if self.first else x
        x = self.conv(self.pad(x) if self.pad else x)
        x = getattr(self, self.name)(x) if self.name else x
        return x if self.first else act(x)


class MmResidual(nn.Module):
    def __init__(self, channels, norm, name):
        super().__init__()
        half = lambda act: ConvModule(nn.Conv2d(channels, channels, 3), norm(channels), act, name, pad=nn.ReflectionPad2d(1))  # noqa: E731
        self.block = nn.Sequential(half(nn.ReLU()), half(None))

    def forward(self, x):
        return x + self.block(x)


class MmResnet(nn.Module):
    """ResnetGenerator of mmediting and mmgeneration."""

    def __init__(self, ngf=4, n_blocks=3, norm=instance, name="instance_norm"):
        super().__init__()
        m = [ConvModule(nn.Conv2d(3, ngf, 7), norm(ngf), nn.ReLU(), name, pad=nn.ReflectionPad2d(3))]
        for c in (ngf, 2 * ngf):
            m.append(ConvModule(nn.Conv2d(c, 2 * c, 3, 2, 1), norm(2 * c), nn.ReLU(), name))
        m += [MmResidual(4 * ngf, norm, name) for _ in range(n_blocks)]
        for c in (4 * ngf, 2 * ngf):
            m.append(ConvModule(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), norm(c // 2), nn.ReLU(), name))
        m.append(ConvModule(nn.Conv2d(ngf, 3, 7), None, nn.Tanh(), pad=nn.ReflectionPad2d(3)))
        self.model = nn.Sequential(*m)

    def forward(self, x):
        return self.model(x)


class NamedResnet(nn.Module):
    """As many write it: one attribute a layer, activations as functions."""

    def __init__(self, ngf=4, n_blocks=2, norm=affine, resize=None, blocks_pad="reflect"):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, ngf, 7), norm(ngf)
        self.conv2, self.norm2 = nn.Conv2d(ngf, 2 * ngf, 3, 2, 1), norm(2 * ngf)
        self.conv3, self.norm3 = nn.Conv2d(2 * ngf, 4 * ngf, 3, 2, 1), norm(4 * ngf)
        self.blocks = nn.ModuleList(
            [nn.ModuleDict({"conv_a": nn.Conv2d(4 * ngf, 4 * ngf, 3), "norm_a": norm(4 * ngf),
                            "conv_b": nn.Conv2d(4 * ngf, 4 * ngf, 3), "norm_b": norm(4 * ngf)}) for _ in range(n_blocks)])
        up = (lambda c: nn.Conv2d(c, c // 2, 3)) if resize else (lambda c: nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1))
        self.deconv1, self.norm4 = up(4 * ngf), norm(2 * ngf)
        self.deconv2, self.norm5 = up(2 * ngf), norm(ngf)
        self.conv4 = nn.Conv2d(ngf, 3, 7)
        self.resize, self.blocks_pad = resize, blocks_pad

    def pad(self, x, size, mode):
        return F.pad(x, [size] * 4, mode) if mode != "zero" else F.pad(x, [size] * 4)

    def double(self, layer, x):
        if not self.resize:
            return layer(x)
        return layer(self.pad(F.interpolate(x, scale_factor=2), 1, self.resize))

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(self.pad(x, 3, "reflect"))))
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.relu(self.norm3(self.conv3(x)))
        for b in self.blocks:
            y = F.relu(b["norm_a"](b["conv_a"](self.pad(x, 1, self.blocks_pad))))
            x = x + b["norm_b"](b["conv_b"](self.pad(y, 1, self.blocks_pad)))
        x = F.relu(self.norm4(self.double(self.deconv1, x)))
        x = F.relu(self.norm5(self.double(self.deconv2, x)))
        return torch.tanh(self.conv4(self.pad(x, 3, "reflect")))


class StagedResnet(nn.Module):
    """Stages in sequences: encoder, transformer, decoder."""

    def __init__(self, ngf=4, n_blocks=3, norm=instance, bias=True, antialias=False, resize=False, names=("encoder", "transformer", "decoder")):
        super().__init__()
        enc = [nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7, bias=bias), norm(ngf), nn.ReLU()]
        for c in (ngf, 2 * ngf):
            enc += [nn.Conv2d(c, 2 * c, 3, 1 if antialias else 2, 1, bias=bias), norm(2 * c), nn.ReLU()]
            enc += [nets.BlurPool(2 * c)] * antialias
        dec = []
        for c in (4 * ngf, 2 * ngf):
            if antialias:
                dec += [nets.BlurUpsample(c), nn.Conv2d(c, c // 2, 3, 1, 1, bias=bias)]
            elif resize:
                dec += [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(c, c // 2, 3, bias=bias)]
            else:
                dec += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias)]
            dec += [norm(c // 2), nn.ReLU()]
        dec += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
        blocks = [GanResidual(4 * ngf) if norm is instance and bias else StagedBlock(4 * ngf, norm, bias) for _ in range(n_blocks)]
        self.names = names
        for name, layers in zip(names, (enc, blocks, dec)):
            setattr(self, name, nn.Sequential(*layers))

    def forward(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x


class StagedBlock(nn.Module):
    def __init__(self, dim, norm, bias):
        super().__init__()
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3, bias=bias), norm(dim)]  # noqa: E731
        self.conv_block = nn.Sequential(*half(), nn.ReLU(), *half())

    def forward(self, x):
        return x + self.conv_block(x)


# ---- U-Nets -----------------------------------------------------------------------------------------------------------


def widths(ngf, num_downs):
    return [ngf * min(8, 2**level) for level in range(num_downs)]


class GanDown(nn.Module):
    def __init__(self, in_nc, out_nc, normalize=True, dropout=0.0):
        super().__init__()
        layers = [nn.Conv2d(in_nc, out_nc, 4, 2, 1, bias=False)] + [nn.InstanceNorm2d(out_nc)] * normalize + [nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, *[nn.Dropout(dropout)] * bool(dropout))

    def forward(self, x):
        return self.model(x)


class GanUp(nn.Module):
    def __init__(self, in_nc, out_nc, dropout=0.0):
        super().__init__()
        layers = [nn.ConvTranspose2d(in_nc, out_nc, 4, 2, 1, bias=False), nn.InstanceNorm2d(out_nc), nn.ReLU()]
        self.model = nn.Sequential(*layers, *[nn.Dropout(dropout)] * bool(dropout))

    def forward(self, x, skip):
        return torch.cat((self.model(x), skip), 1)


class GanUnet(nn.Module):
    """PyTorch-GAN, pix2pix: down1 …, up1 …, final."""

    def __init__(self, ngf=4, num_downs=5):
        super().__init__()
        w = widths(ngf, num_downs)
        self.n = num_downs
        for i in range(num_downs):
            ends = i in (0, num_downs - 1)
            setattr(self, f"down{i + 1}", GanDown(3 if i == 0 else w[i - 1], w[i], not ends, 0.5 if i > 2 else 0.0))
        for i in range(num_downs - 1):
            level = num_downs - 1 - i
            setattr(self, f"up{i + 1}", GanUp(w[level] * (1 if i == 0 else 2), w[level - 1], 0.5 if i < 3 else 0.0))
        self.final = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(2 * ngf, 3, 4, padding=1), nn.Tanh())

    def forward(self, x):
        d = []
        for i in range(self.n):
            x = getattr(self, f"down{i + 1}")(x)
            d.append(x)
        for i in range(self.n - 1):
            x = getattr(self, f"up{i + 1}")(x, d[self.n - 2 - i])
        return self.final(x)


class MlcBlock(nn.Module):
    def __init__(self, in_nc, out_nc, down, act, dropout=False):
        super().__init__()
        conv = nn.Conv2d(in_nc, out_nc, 4, 2, 1, bias=False, padding_mode="reflect") if down else nn.ConvTranspose2d(in_nc, out_nc, 4, 2, 1, bias=False)
        self.conv = nn.Sequential(conv, nn.BatchNorm2d(out_nc), nn.ReLU() if act == "relu" else nn.LeakyReLU(0.2))
        self.dropout = nn.Dropout(0.5) if dropout else nn.Identity()

    def forward(self, x):
        return self.dropout(self.conv(x))


class MlcUnet(nn.Module):
    """Machine-Learning-Collection, pix2pix: initial_down, down1 …, bottleneck, up1 …, final_up."""

    def __init__(self, ngf=4, num_downs=8):
        super().__init__()
        w = widths(ngf, num_downs)
        self.n = num_downs
        self.initial_down = nn.Sequential(nn.Conv2d(3, ngf, 4, 2, 1, padding_mode="reflect"), nn.LeakyReLU(0.2))
        for i in range(1, num_downs - 1):
            setattr(self, f"down{i}", MlcBlock(w[i - 1], w[i], True, "leaky"))
        self.bottleneck = nn.Sequential(nn.Conv2d(w[-2], w[-1], 4, 2, 1), nn.ReLU())
        for i in range(1, num_downs):
            level = num_downs - i
            setattr(self, f"up{i}", MlcBlock(w[level] * (1 if i == 1 else 2), w[level - 1], False, "relu", i < 4))
        self.final_up = nn.Sequential(nn.ConvTranspose2d(2 * ngf, 3, 4, 2, 1), nn.Tanh())

    def forward(self, x):
        d = [self.initial_down(x)]
        for i in range(1, self.n - 1):
            d.append(getattr(self, f"down{i}")(d[-1]))
        x = self.bottleneck(d[-1])
        for i in range(1, self.n):
            x = torch.cat([getattr(self, f"up{i}")(x), d[self.n - 1 - i]], 1)
        return self.final_up(x)


class FunctionUnet(nn.Module):
    """pytorch-pix2pix: conv1 …, conv2_bn …, deconv1 …; activations as functions, in front of convolutions."""

    def __init__(self, ngf=4, num_downs=5, norm=nn.BatchNorm2d):
        super().__init__()
        w = widths(ngf, num_downs)
        self.n = num_downs
        for i in range(num_downs):
            setattr(self, f"conv{i + 1}", nn.Conv2d(3 if i == 0 else w[i - 1], w[i], 4, 2, 1))
            if i not in (0, num_downs - 1):
                setattr(self, f"conv{i + 1}_bn", norm(w[i]))
        for i in range(num_downs):
            level = num_downs - 1 - i
            setattr(self, f"deconv{i + 1}", nn.ConvTranspose2d(w[level] * (1 if i == 0 else 2), 3 if level == 0 else w[level - 1], 4, 2, 1))
            if level:
                setattr(self, f"deconv{i + 1}_bn", norm(w[level - 1]))

    def forward(self, x):
        e = [self.conv1(x)]
        for i in range(1, self.n):
            x = getattr(self, f"conv{i + 1}")(F.leaky_relu(e[-1], 0.2))
            e.append(getattr(self, f"conv{i + 1}_bn")(x) if i < self.n - 1 else x)
        x = e[-1]
        for i in range(self.n - 1):
            x = getattr(self, f"deconv{i + 1}_bn")(getattr(self, f"deconv{i + 1}")(F.relu(x)))
            x = torch.cat([x, e[self.n - 2 - i]], 1)
        return torch.tanh(getattr(self, f"deconv{self.n}")(F.relu(x)))


class ListUnet(nn.Module):
    """Lists of sequences: `encoder.N`, `decoder.N`; activations behind norms, or in front of convolutions."""

    def __init__(self, ngf=4, num_downs=5, norm=nn.BatchNorm2d, names=("encoder", "decoder"), behind=True, bias=False, skip_first=False):
        super().__init__()
        w = widths(ngf, num_downs)
        enc, dec = [], []
        for i in range(num_downs):
            ends = i in (0, num_downs - 1)
            conv = nn.Conv2d(3 if i == 0 else w[i - 1], w[i], 4, 2, 1, bias=bias or ends)
            body = [conv] + [] if ends else [conv, norm(w[i])]
            act = [nn.LeakyReLU(0.2)]
            enc.append(nn.Sequential(*(body + act if behind else (act if i else []) + body)))
        for level in range(num_downs - 1, -1, -1):
            deconv = nn.ConvTranspose2d(
                w[level] * (1 if level == num_downs - 1 else 2), 3 if level == 0 else w[level - 1], 4, 2, 1, bias=bias or level == 0)
            body = [deconv] + ([norm(w[level - 1])] if level else [])
            act = [nn.ReLU()]
            dec.append(nn.Sequential(*(body + (act if level else []) if behind else act + body)))
        self.names, self.skip_first = names, skip_first
        setattr(self, names[0], nn.ModuleList(enc))
        setattr(self, names[1], nn.ModuleList(dec))

    def forward(self, x):
        skips = []
        for layer in getattr(self, self.names[0]):
            x = layer(x)
            skips.append(x)
        for i, layer in enumerate(getattr(self, self.names[1])):
            pair = [x, skips[-1 - i]]
            x = layer(x if i == 0 else torch.cat(pair[::-1] if self.skip_first else pair, 1))
        return torch.tanh(x)


class MmUnetBlock(nn.Module):
    """mmgeneration: the reference's nested U-Net of modules by name."""

    def __init__(self, outer, inner, in_nc=None, sub=None, outermost=False, norm=nn.BatchNorm2d):
        super().__init__()
        self.outermost = outermost
        relu, leaky = nn.ReLU(), nn.LeakyReLU(0.2)
        conv = nn.Conv2d(outer if in_nc is None else in_nc, inner, 4, 2, 1, bias=False)
        if outermost:
            down = ConvModule(conv)
            up = ConvModule(nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1), None, relu, first=True)
            m = [down, sub, up, nn.Tanh()]
        elif sub is None:
            down = ConvModule(conv, None, leaky, first=True)
            m = [down, ConvModule(nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False), norm(outer), relu, first=True)]
        else:
            down = ConvModule(conv, norm(inner), leaky, first=True)
            m = [down, sub, ConvModule(nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=False), norm(outer), relu, first=True)]
        self.model = nn.Sequential(*m)

    def forward(self, x):
        if self.outermost:
            return self.model(x)
        return torch.cat([F.leaky_relu(x, 0.2), self.model(x)], 1)


class MmUnet(nn.Module):
    def __init__(self, ngf=4, num_downs=5, norm=nn.BatchNorm2d):
        super().__init__()
        w = widths(ngf, num_downs)
        block = None
        for level in range(num_downs - 1, 0, -1):
            block = MmUnetBlock(w[level - 1], w[level], sub=block, norm=norm)
        self.model = MmUnetBlock(3, ngf, in_nc=3, sub=block, outermost=True, norm=norm)

    def forward(self, x):
        return self.model(x)


# ---- not among the networks here ---------------------------------------------------------------------------------------


class DoubleConvUnet(nn.Module):
    def __init__(self):
        super().__init__()
        double = lambda a, b: nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, b, 3, 1, 1), nn.BatchNorm2d(b))  # noqa: E731
        self.inc = nn.ModuleDict({"double_conv": double(3, 8)})
        self.down1 = nn.ModuleDict({"double_conv": double(8, 16)})
        self.outc = nn.Conv2d(8, 3, 1)


class StyleTransfer(nn.Module):
    """Fast style transfer of PyTorch's examples."""

    def __init__(self):
        super().__init__()
        wrap = lambda *a: nn.ModuleDict({"conv2d": nn.Conv2d(*a)})  # noqa: E731
        self.conv1, self.in1 = wrap(3, 8, 9), affine(8)
        self.deconv1, self.deconv3 = wrap(8, 8, 3), wrap(8, 3, 9)


class Spade(nn.Module):
    def __init__(self):
        super().__init__()
        self.head_0 = nn.ModuleDict({"norm_0": nn.ModuleDict({
            "mlp_shared": nn.Sequential(nn.Conv2d(3, 8, 3)), "mlp_gamma": nn.Conv2d(8, 8, 3), "mlp_beta": nn.Conv2d(8, 8, 3)})})


class UGatIt(nn.Module):
    def __init__(self):
        super().__init__()
        self.gap_fc, self.gmp_fc = nn.Linear(8, 1), nn.Linear(8, 1)
        self.conv1x1 = nn.Conv2d(16, 8, 1)


class StarGan(nn.Module):
    """7x7 ends, but halvings and doublings of 4x4."""

    def __init__(self, c=4):
        super().__init__()
        m = [nn.Conv2d(3 + 5, c, 7, 1, 3, bias=False), affine(c), nn.ReLU()]
        m += [nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False), affine(2 * c), nn.ReLU()]
        m += [nn.ConvTranspose2d(2 * c, c, 4, 2, 1, bias=False), affine(c), nn.ReLU(), nn.Conv2d(c, 3, 7, 1, 3, bias=False)]
        self.main = nn.Sequential(*m)


class SpectralWrapper(nn.Module):
    """The wrapper that many repositories copy from pytorch-spectral-normalization-gan."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        w = module.weight
        del module._parameters["weight"]
        unit = lambda n: nn.Parameter(F.normalize(torch.randn(n), dim=0), requires_grad=False)  # noqa: E731
        module.register_parameter("weight_u", unit(w.shape[0]))
        module.register_parameter("weight_v", unit(w[0].numel()))
        module.register_parameter("weight_bar", nn.Parameter(w.data))

    def forward(self, x):
        m = self.module
        w = m.weight_bar.data.reshape(m.weight_bar.shape[0], -1)
        m.weight_v.data = F.normalize(w.t().mv(m.weight_u.data), dim=0, eps=1e-12)
        m.weight_u.data = F.normalize(w.mv(m.weight_v.data), dim=0, eps=1e-12)
        m.weight = m.weight_bar / m.weight_u.dot(w.mv(m.weight_v))
        return m(x)
