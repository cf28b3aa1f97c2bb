"""`python -m gan_cli` is `gan-cli`: this process becomes it."""

import os
import sys

from gan_cli import program

path = program()
os.execv(path, [path, *sys.argv[1:]])
