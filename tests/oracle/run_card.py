#!/usr/bin/env python3
"""Runs the Python program on the card of model folders, and compares its image with the sample's: run_card.py DIR… (needs torch, safetensors, pillow, numpy).

The program is taken from README.md as it stands. It must load model.safetensors strictly and make the image in samples/output-1.png, to two levels.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image


def difference(folder):
    text = (folder / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    with tempfile.TemporaryDirectory() as out:
        out = pathlib.Path(out)
        # Its output goes elsewhere; what it reads are the folder's files.
        program = program.replace('save("output.png")', f'save("{out}/output.png")')
        (out / "program.py").write_text(program)
        subprocess.run([sys.executable, out / "program.py"], cwd=folder, check=True)
        made = np.asarray(Image.open(out / "output.png")).astype(int)
    expected = np.asarray(Image.open(folder / "samples/output-1.png")).astype(int)
    assert made.shape == expected.shape, f"{made.shape}, {expected.shape} is expected"
    return int(np.abs(made - expected).max())


def main():
    worst = 0
    for name in sys.argv[1:]:
        levels = difference(pathlib.Path(name))
        worst = max(worst, levels)
        print(f"{name}: the program of the card makes the sample's image, to {levels} levels")
    return 1 if worst > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
