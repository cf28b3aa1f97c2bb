"""A network of PyTorch and its weights in a file make the same image."""

import sys

import numpy as np
import pytest
from conftest import ROOT, scene
from gan_translate import Model

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
sys.path.append(str(ROOT / "tests/oracle"))


@pytest.mark.parametrize("size", [(64, 48), (37, 51)])
def test_a_resnet_to_one_level(tmp_path, size):
    from nets import ResnetGenerator

    torch.manual_seed(3)
    network = ResnetGenerator(ngf=16, n_blocks=6).eval()
    path = tmp_path / "latest_net_G.pth"
    torch.save(network.state_dict(), path)
    image = scene(*size)
    # Sides that are no multiples of four are mirrored and cut, as the model does it.
    height, width = (side + -side % 4 for side in size)
    padded = np.pad(image, ((0, height - size[0]), (0, width - size[1]), (0, 0)), "reflect")
    with torch.no_grad():
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1
        y = network(x)[0].permute(1, 2, 0).numpy()[: size[0], : size[1]]
    expected = np.round((y + 1) * 127.5)
    made = Model.open(path)(image)
    assert np.abs(made - expected).max() <= 1
    assert made.std() > 3, "an image, and not one colour"
