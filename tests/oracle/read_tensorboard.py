"""Opens the event files of a run with TensorBoard itself: `python read_tensorboard.py RUN` (needs tensorboard, pillow).

Every loss and metric of RUN/events.jsonl has to come back with its step and its value (as float32), every preview as an image that
can be decoded, and nothing else; the settings as text and as hyperparameters. With several files, as after resuming, the steps have to
be those of the whole run.
"""
import argparse
import collections
import io
import json
import pathlib
import struct

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator as ea
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def expected(run):
    """Scalars by tag: [(step, value)]; steps of previews."""
    scalars, previews = collections.defaultdict(list), []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        step = event["step"]
        if event["event"] == "progress":
            for name, value in event["losses"].items():
                scalars[f"loss/{name}"].append((step, f32(value)))
            for name, key in [("learning_rate", "lr"), ("images_per_s",) * 2, ("epoch",) * 2, ("data_wait",) * 2]:
                scalars[f"train/{name}"].append((step, f32(event[key])))
        elif event["event"] == "validated":
            for name, value in event["metrics"].items():
                scalars[f"validation/{name}"].append((step, f32(value)))
        elif event["event"] == "preview":
            previews.append((step, event["pictures"], event.get("held_out", [])))
    return scalars, previews


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    run = parser.parse_args().run
    scalars, previews = expected(run)
    guidance = {ea.SCALARS: 0, ea.IMAGES: 0, ea.TENSORS: 0}  # all of them
    log = ea.EventAccumulator(str(run / "tensorboard"), size_guidance=guidance).Reload()
    tags = log.Tags()

    assert sorted(tags["scalars"]) == sorted(scalars), (tags["scalars"], list(scalars))
    for tag, points in scalars.items():
        found = [(event.step, event.value) for event in log.Scalars(tag)]
        assert found == points, (tag, found, points)

    steps = [step for step, _, _ in previews]
    sizes = set()
    for tag in tags["images"]:
        images = log.Images(tag)
        assert [image.step for image in images] == steps, (tag, [image.step for image in images], steps)
        for image in images:
            decoded = Image.open(io.BytesIO(image.encoded_image_string))
            assert decoded.size == (image.width, image.height), tag
            sizes.add(decoded.size)
    _, labels, held_out = previews[0]
    groups = {tag.split("/")[0] for tag in tags["images"]}
    assert len([group for group in groups if group.startswith("held out")]) == len(held_out), groups
    assert {tag.split("/", 1)[1] for tag in tags["images"]} == set(labels), tags["images"]

    text = tensor_util.make_ndarray(log.Tensors("config.toml")[-1].tensor_proto)[0].decode()
    settings = "".join(f"    {line}\n" for line in (run / "config.toml").read_text().splitlines())
    assert text == settings, "the last settings are those of config.toml"
    content = log.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    start = hparams.parse_session_start_info_plugin_data(content)
    assert start.hparams["train.lr"].number_value > 0 and start.hparams["method"].string_value, start
    files = list((run / "tensorboard").iterdir())
    print(
        f"TensorBoard reads {len(files)} files: {len(scalars)} scalars of {len(scalars['train/epoch'])} log points, "
        f"{len(tags['images'])} images of {len(steps)} previews in sizes {sorted(sizes)}, {len(start.hparams)} hyperparameters"
    )


if __name__ == "__main__":
    main()
