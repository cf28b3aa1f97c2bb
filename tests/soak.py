"""Trains a tiny run for minutes or hours and samples what must not grow: memory, files, threads, log, gallery, checkpoints.

python3 tests/soak.py GAN_CLI [MINUTES [SETTING ...]]     30 minutes by default; prints a table, exits 1 if something grew
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = [
    "data.mode=facades", "max_dataset_size=40", "generator.arch=unet", "generator.num_downs=5", "ngf=4", "ndf=4",
    "load_size=36", "crop_size=32", "workers=1", "n_epochs=100000000", "save_latest_freq=400", "display_freq=400",
    "save_minutes=1", "ema=0.99", "validation.every=50", "validation.limit=2",
]


def folder(path):
    """Files and bytes below a folder."""
    files = size = 0
    for at, _, names in os.walk(path):
        for name in names:
            try:
                size += os.path.getsize(os.path.join(at, name))
                files += 1
            except FileNotFoundError:
                pass  # temporary
    return files, size


def sample(pid, run):
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    with open(os.path.join(run, "events.jsonl"), "rb") as file:
        log = file.read()
    steps = [line for line in log.splitlines() if b'"step":' in line]
    step = int(steps[-1].split(b'"step":')[1].split(b",")[0].split(b"}")[0]) if steps else 0
    return {
        "step": step,
        "rss_kb": int(status["VmRSS"].split()[0]),
        "threads": int(status["Threads"]),
        "files_open": len(os.listdir(f"/proc/{pid}/fd")),
        "log_bytes": len(log),
        "gallery": folder(os.path.join(run, "gallery")),
        "checkpoints": folder(os.path.join(run, "checkpoints")),
    }


def main():
    program, minutes = os.path.abspath(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    with tempfile.TemporaryDirectory() as work:
        run = os.path.join(work, "run")
        settings = [part for setting in SETTINGS + sys.argv[3:] for part in ("--set", setting)]
        with open(os.path.join(work, "said"), "w") as said:
            process = subprocess.Popen([program, "train", "pix2pix", "--out", run, *settings], stdout=said, stderr=said)
        samples, began = [], time.monotonic()
        while time.monotonic() - began < 60 * minutes:
            time.sleep(max(1.0, minutes))  # 60 samples
            if process.poll() is not None:
                with open(os.path.join(work, "said")) as said:
                    sys.exit(f"the run ended by itself with {process.returncode}:\n{said.read()[-2000:]}")
            if os.path.exists(os.path.join(run, "checkpoints", "latest")):
                samples.append({"minute": (time.monotonic() - began) / 60, **sample(process.pid, run)})
                print(samples[-1], flush=True)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=120)
    first, last = samples[len(samples) // 3], samples[-1]
    steps = last["step"] - first["step"]
    print(f"\n{minutes:g} minutes, {last['step']} steps, {len(samples)} samples; ended with {code}")
    print("| what | after a third | at the end | largest |\n|---|---|---|---|")
    for name in ("rss_kb", "threads", "files_open"):
        print(f"| {name} | {first[name]} | {last[name]} | {max(s[name] for s in samples)} |")
    for name in ("gallery", "checkpoints"):
        text = ["{} files, {} bytes".format(*s[name]) for s in (first, last, max(samples, key=lambda s: s[name]))]
        print(f"| {name} | {' | '.join(text)} |")
    per_step = (last["log_bytes"] - first["log_bytes"]) / max(steps, 1)
    print(f"| log, bytes a step | | {per_step:.1f} | |")
    grew = [name for name in ("threads", "files_open") if last[name] > first[name] + 2]
    grew += ["rss_kb"] if last["rss_kb"] > 1.05 * first["rss_kb"] else []
    # A checkpoint more is there while it is written.
    grew += [name for name, most in (("gallery", 1.2), ("checkpoints", 2)) if last[name][1] > most * first[name][1]]
    if code != 130 or grew:
        sys.exit(f"exit code {code}; grew: {', '.join(grew) or 'nothing'}")


if __name__ == "__main__":
    main()
