#!/usr/bin/env python3
"""Training through NCCL leaves the bits of one process, and a rank that is killed ends the others.

    python3 benches/nccl_check.py GAN_CLI [--ranks N] [--device cuda]

Without --ranks there are as many as GPUs; one rank speaks to itself. Each rank is a process, as `torchrun` starts them. Exit code:
0 if all is as it should be, 1 if not.
"""
import argparse
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Small networks on procedural images. One rank computes as many micro-batches a step as several do together.
TINY = ["ngf=4", "ndf=4", "load_size=36", "crop_size=32", "max_dataset_size=8", "workers=0", "print_freq=1", "deterministic=true",
        "generator.norm=batch", "save_minutes=0"]
METHODS = {
    "pix2pix": ["data.mode=facades", "generator.arch=unet", "generator.num_downs=5", "discriminator.norm=batch"],
    "cyclegan": ["data.mode=unpaired", "pool_size=3", "generator.arch=resnet", "generator.n_blocks=1"],
}
# A process that has to end, and does not.
PATIENCE = 120


def launch(a, method, run, ranks, settings):
    """One process of ranks == 0, else so many that speak through NCCL."""
    sets = [part for setting in TINY + METHODS[method] + settings for part in ("--set", setting)]
    command = [a.gan_cli, "train", method, "--out", str(run), "--device", a.device, *sets]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(max(ranks, 1)):
        env = dict(os.environ)
        if ranks:
            env.update(GAN_COMM="nccl", RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1",
                       MASTER_PORT=str(port), GAN_COMM_TIMEOUT="60")
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    return started


def ended(processes):
    """Exit codes and what was said. Processes that do not end are killed; their code is None."""
    deadline, codes, said = time.monotonic() + PATIENCE, [], []
    for process in processes:
        try:
            said.append(process.communicate(timeout=max(deadline - time.monotonic(), 0.1))[1])
            codes.append(process.returncode)
        except subprocess.TimeoutExpired:
            process.kill()
            said.append(process.communicate()[1])
            codes.append(None)
    return codes, said


def newest(run):
    """File names and digests of the newest checkpoint's tensors."""
    folders = sorted({path.parent for path in Path(run).rglob("*.safetensors")}, key=lambda folder: folder.stat().st_mtime)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folders[-1].glob("*.safetensors"))} if folders else {}


def same_bits(a, folder, method):
    """None if training through NCCL leaves what one process does, else what is wrong."""
    batches = max(a.ranks, 2)
    alone, through = folder / f"{method}-alone", folder / f"{method}-nccl"
    settings = ["n_epochs=2", "n_epochs_decay=0"]
    runs = [(alone, 0, batches), (through, a.ranks, batches // a.ranks)]
    for run, ranks, accumulate in runs:
        codes, said = ended(launch(a, method, run, ranks, settings + [f"train.accumulate={accumulate}"]))
        if any(code != 0 for code in codes):
            return f"exit codes {codes}\n" + "\n".join(said)
    have, want = newest(through), newest(alone)
    if not want:
        return "no checkpoint was written"
    different = sorted(name for name in have.keys() | want.keys() if have.get(name) != want.get(name))
    return f"{different} differ" if different else None


def ends_together(a, folder):
    """None if the ranks end when one of them is killed, else what is wrong."""
    run = folder / "killed"
    processes = launch(a, "pix2pix", run, a.ranks, ["n_epochs=100000", "n_epochs_decay=0", "save_epoch_freq=1"])
    begun = time.monotonic()
    while not newest(run) and time.monotonic() < begun + PATIENCE and all(p.poll() is None for p in processes):
        time.sleep(0.05)
    processes[-1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    codes, said = ended(processes)
    seconds = time.monotonic() - killed
    others = codes[:-1]
    if any(code is None or code <= 0 for code in others):
        return f"exit codes {codes} after {seconds:.0f} s\n" + "\n".join(said)
    if not any("has ended" in text or "NCCL" in text for text in said[:-1]):
        return "no rank says that another one has ended\n" + "\n".join(said)
    return None


def checks(a):
    """Names, with None or what is wrong."""
    with tempfile.TemporaryDirectory(prefix="nccl-check-") as folder:
        folder = Path(folder)
        for method in METHODS:
            yield f"{method} on {a.ranks} rank(s)", same_bits(a, folder, method)
        if a.ranks > 1:
            yield f"one of {a.ranks} ranks is killed", ends_together(a, folder)


def gpus():
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 1
    return max(len(listed.strip().splitlines()), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gan_cli", help="a gan-cli that was built with --features nccl")
    parser.add_argument("--ranks", type=int, default=gpus())
    parser.add_argument("--device", default="cuda")
    wrong = 0
    for name, what in checks(parser.parse_args()):
        print(f"  {name}: {what or 'as it should be'}", flush=True)
        wrong += what is not None
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
