"""The program gan-cli, as pip installed it."""

import os
import sysconfig


def program():
    """Path of the program that belongs to this package.

    Raises FileNotFoundError where it is none of the places that pip puts programs into.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # `pip install --target DIR` makes DIR/bin; elsewhere packages lie in PREFIX/lib/pythonX.Y/site-packages, programs in PREFIX/bin.
    folders = [os.path.join(here, "bin"), os.path.join(here, "..", "..", "..", "bin"), sysconfig.get_path("scripts")]
    paths = [os.path.normpath(os.path.join(folder, "gan-cli")) for folder in folders]
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("no " + ", ".join(paths) + "; install the wheel again with pip's --force-reinstall")
