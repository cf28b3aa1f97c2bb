"""The programs of the pages, run as they stand."""

import re
import runpy
import shutil

import pytest
from conftest import FIXTURES, ROOT, scene
from PIL import Image


def programs(page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    return [block for block in blocks if "gan_translate" in block]


@pytest.mark.parametrize("page", ["python/README.md", "docs/deploy.md"])
def test_programs_run(page, gan_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "pix2pix", "runs/photos")
    shutil.copytree(FIXTURES / "pix2pixhd", "runs/streets")
    for name in ("label", "inst", "img"):
        shutil.copy(FIXTURES / "inputs" / f"{name}.png", f"{name}.png")
    Image.fromarray(scene(50, 40)).save("drawing.png")
    Image.fromarray(scene(50, 40, seed=1)).save("truth.png")
    gan_cli("convert", "runs/photos", "latest_net_G.pth", "--network", "g")
    found = programs(page)
    assert found
    for at, program in enumerate(found):
        (tmp_path / f"program{at}.py").write_text(program)
        runpy.run_path(str(tmp_path / f"program{at}.py"))
    assert Image.open("photo.png").size == (40, 50)
