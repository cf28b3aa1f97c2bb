"""What calls raise, and the words."""

import numpy as np
import pytest
from conftest import FIXTURES, scene
from gan_translate import Error, InvalidInput, Model, NotFound, TooLittleMemory


def raised(kinds, text, call, *args, **words):
    with pytest.raises(Error) as caught:
        call(*args, **words)
    for kind in kinds:
        assert isinstance(caught.value, kind), repr(caught.value)
    assert text in str(caught.value), str(caught.value)


def test_models_that_are_not_there(tmp_path):
    missing = tmp_path / "run"
    raised([NotFound, FileNotFoundError], f"{missing} is no model: it does not exist", Model.open, missing)
    raised([NotFound], "missing.pth", Model.open, tmp_path / "missing.pth")
    raised([NotFound], "the checkpoints of", Model.open, FIXTURES / "cyclegan/checkpoints/9")
    raised([InvalidInput, ValueError], f"{tmp_path}", Model.open, tmp_path)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    raised([InvalidInput], str(broken), Model.open, broken)


def test_keywords(tmp_path):
    run = FIXTURES / "cyclegan"
    for words, text in [
        ({"device": "tpu"}, "there is no device `tpu`"),
        ({"device": "cuda"}, "cuda"),
        ({"weights": "best"}, 'weights: there is no "best"; give one of raw, ema'),
        ({"weights": "ema"}, "holds no moving average of its weights"),
        ({"direction": "ab"}, "give one of a2b, b2a"),
        ({"architecture": "vit"}, "give one of resnet_9blocks"),
        ({"network": "g_a"}, "only for a bare weight file"),
        ({"threads": 0}, "threads: give a number from 1 to 1024"),
        ({"scratch": tmp_path / "none"}, "is no folder; name one that exists"),
    ]:
        raised([], text, Model.open, run, **words)
    raised([], "this model translates one way, from A to B, and not from B to A", Model.open, FIXTURES / "pix2pix", direction="b2a")
    with pytest.raises(TypeError):
        Model.open(run, "g_a")
    with pytest.raises(OverflowError):
        Model.open(run, threads=-1)


def test_arrays_that_are_no_images():
    model = Model.open(FIXTURES / "cyclegan")
    for image, text in [
        (scene(8, 8).astype(np.float32) / 255, "an array of float32; give uint8"),
        (scene(8, 8) > 4, "an array of bool"),
        (np.zeros((0, 4, 3), np.uint8), "there are no pixels"),
        (np.zeros((4, 4, 0), np.uint8), "there are no pixels"),
        (np.zeros(5, np.uint8), "[H, W], [H, W, C] or [N, H, W, C] is expected"),
        (np.zeros((1, 1, 4, 4, 3), np.uint8), "the shape [1, 1, 4, 4, 3]"),
        (None, "an array of object"),
    ]:
        raised([InvalidInput, ValueError], text, model, image)
    raised([InvalidInput], "takes no instance maps", model, scene(8, 8), instances=np.zeros((8, 8), int))
    raised([InvalidInput], "has no styles", model, scene(8, 8), style=3)


def test_label_maps():
    model = Model.open(FIXTURES / "pix2pixhd")
    labels, style = np.zeros((8, 8), np.uint8), scene(8, 8)
    instances = np.ones((8, 8), np.int32)
    for given, words, text in [
        (labels, {}, "trained with instance maps"),
        (labels, {"instances": instances[:, :4], "style": style}, "give both one size"),
        (labels, {"instances": instances, "style": style[:4]}, "give both one size"),
        (labels, {"instances": instances - 3, "style": style}, "the instance map holds -2: ids are 0 to"),
        (labels + 16, {"instances": instances, "style": style}, "label map: label 16 at pixel (0, 0) is not below label_nc = 16"),
        (labels.astype(float), {"instances": instances}, "ids are integers"),
        # Eight label maps of eight rows and three columns.
        (style, {"instances": instances}, "there are 8 inputs and 1 instance maps"),
        (style[..., None], {"instances": instances}, "[H, W] or [N, H, W] is expected"),
    ]:
        raised([InvalidInput], text, model, given, **words)


def test_memory():
    model = Model.open(FIXTURES / "cyclegan", max_memory=20 << 20)
    raised([TooLittleMemory, MemoryError], "MiB", model, scene(600, 600))
