"""Differentiable augmentation (Zhao et al., 2020) in PyTorch, with its random numbers as an argument: `random` maps names to one number an image."""
import torch


def color(x, random):
    brightness, saturation, contrast = (random[name].view(-1, 1, 1, 1) for name in ("brightness", "saturation", "contrast"))
    x = x + brightness - 0.5
    x = torch.lerp(x.mean(dim=1, keepdim=True), x, 2 * saturation)
    return torch.lerp(x.mean(dim=(1, 2, 3), keepdim=True), x, contrast + 0.5)


def positions(x):
    return torch.arange(x.shape[2]).view(1, -1, 1), torch.arange(x.shape[3]).view(1, 1, -1)


def translation(x, random):
    """Row y, column x shows row y + shift_y, column x + shift_x; zero where the image has none."""
    _, _, h, w = x.shape
    rows, columns = positions(x)
    rows, columns = rows + random["shift_y"].view(-1, 1, 1), columns + random["shift_x"].view(-1, 1, 1)
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    at = (rows.clamp(0, h - 1) * w + columns.clamp(0, w - 1)).unsqueeze(1).expand(x.shape)
    return x.flatten(2).gather(2, at.flatten(2)).view_as(x) * inside.unsqueeze(1)


def cutout(x, random):
    """A box of half the sides, rounded up, is zero; its row `side // 2` lies at the centre."""
    covered = True
    for places, side, centre in zip(positions(x), x.shape[2:], (random["centre_y"], random["centre_x"])):
        box = (side + 1) // 2
        from_first = places - (centre.view(-1, 1, 1) - box // 2)
        covered = covered & (from_first >= 0) & (from_first < box)
    return x.masked_fill(covered.unsqueeze(1), 0.0)


CHANGES = dict(color=color, translation=translation, cutout=cutout)
POLICIES = ("color", "translation", "cutout", "color,translation,cutout", "cutout,color,translation")


def case(size, seed):
    """The tensors of a case: input, cotangent, random numbers, and for every policy output and gradient."""
    g = torch.Generator().manual_seed(seed)
    n, _, h, w = size
    x, cotangent = (torch.rand(size, generator=g) * 2 - 1).double(), torch.randn(size, generator=g).double()
    random = {name: torch.rand(n, generator=g).double() for name in ("brightness", "saturation", "contrast")}
    for axis, side in (("y", h), ("x", w)):
        reach = (side + 4) // 8
        random[f"shift_{axis}"] = torch.randint(-reach, reach + 1, (n,), generator=g)
        random[f"centre_{axis}"] = torch.randint(0, side + 1 - (side + 1) // 2 % 2, (n,), generator=g)
    tensors = {"input.0": x, "cotangent.0": cotangent} | {f"random.{name}": value for name, value in random.items()}
    for policy in POLICIES:
        leaf = x.clone().requires_grad_(True)
        y = leaf
        for name in policy.split(","):
            y = CHANGES[name](y, random)
        (y * cotangent).sum().backward()
        tensors |= {f"output.{policy}": y, f"grad_input.{policy}": leaf.grad}
    return tensors
