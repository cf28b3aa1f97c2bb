"""Arrays through models, against `gan-cli translate` of the same images in files."""

import multiprocessing
import threading
import time

import numpy as np
import pytest
from conftest import FIXTURES, scene
from gan_translate import InvalidInput, Model
from PIL import Image

HD = FIXTURES / "pix2pixhd"


def part(name):
    return FIXTURES / "inputs" / f"{name}.png"


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("size", [(32, 32), (45, 31), (7, 70)])
@pytest.mark.parametrize("run, words", [("pix2pix", {}), ("cyclegan", {}), ("cyclegan", {"direction": "b2a"})])
def test_an_array_becomes_what_the_program_makes_of_a_file(translated, run, words, size):
    image = scene(*size)
    made = Model.open(FIXTURES / run, **words)(image)
    assert (made.shape, made.dtype) == (image.shape, np.uint8)
    options = [word for name, value in words.items() for word in (f"--{name}", value)]
    np.testing.assert_array_equal(made, translated(FIXTURES / run, image, *options))


def test_directions_differ():
    image = scene(40, 40)
    models = [Model.open(FIXTURES / "cyclegan", direction=way) for way in ("a2b", "b2a")]
    assert [model.direction for model in models] == ["a2b", "b2a"]
    assert (models[0](image) != models[1](image)).any()


def test_sides_of_a_unet_are_extended(translated, unet):
    model = Model.open(unet)
    assert (model.architecture, model.size_multiple, model.method) == ("unet", 32, "pix2pix")
    for size in [(32, 64), (50, 33)]:
        np.testing.assert_array_equal(model(scene(*size)), translated(unet, scene(*size)))


def test_options_of_the_program(translated, unet):
    image = scene(32, 32)
    np.testing.assert_array_equal(Model.open(unet, eval=True)(image), translated(unet, image, "--eval"))
    assert (Model.open(unet, eval=True)(image) != Model.open(unet)(image)).any()
    np.testing.assert_array_equal(Model.open(unet, dropout=3)(image), translated(unet, image, "--dropout", 3))


def test_channels_and_alpha(translated):
    run = FIXTURES / "pix2pix"
    model = Model.open(run)
    grey, rgba = scene(20, 30, 1), scene(20, 30, 4)
    np.testing.assert_array_equal(model(grey[..., 0]), model(grey))
    np.testing.assert_array_equal(model(grey), translated(run, grey[..., 0]))
    np.testing.assert_array_equal(model(rgba), translated(run, rgba))
    kept = Model.open(run, keep_alpha=True)(rgba)
    np.testing.assert_array_equal(kept, translated(run, rgba, "--alpha", "keep"))
    np.testing.assert_array_equal(kept[..., 3], rgba[..., 3])
    with pytest.raises(InvalidInput, match="it has 5 channels and 3 are wanted"):
        model(scene(8, 8, 5))


def test_sixteen_bits_stay_sixteen(translated):
    image = scene(24, 18, dtype=np.uint16)
    made = Model.open(FIXTURES / "cyclegan")(image)
    assert made.dtype == np.uint16 and len(np.unique(made)) > 256
    np.testing.assert_array_equal(made, translated(FIXTURES / "cyclegan", image))


def test_a_batch_is_its_images():
    model = Model.open(FIXTURES / "cyclegan")
    batch = np.stack([scene(20, 28, seed=seed) for seed in range(3)])
    made = model(batch)
    assert made.shape == batch.shape
    for image, result in zip(batch, made):
        np.testing.assert_array_equal(model(image), result)
    assert model(batch[:1]).shape == (1, 20, 28, 3)


def test_arrays_need_not_be_contiguous():
    model = Model.open(FIXTURES / "cyclegan")
    image = scene(40, 60)
    for view in [image[::-1, ::2], image.transpose(1, 0, 2), np.asfortranarray(image), image[..., ::-1]]:
        np.testing.assert_array_equal(model(view), model(view.copy()))
    np.testing.assert_array_equal(model(Image.fromarray(image)), model(image))
    before = image.copy()
    model(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_label_maps_with_instances_and_styles(translated, dtype):
    model = Model.open(HD)
    assert (model.input, model.takes_instances, model.has_styles) == ("labels", True, True)
    labels, instances, style = (pixels(part(name)) for name in ("label", "inst", "img"))
    made = model(labels.astype(dtype), instances=instances.astype(np.int32), style=style)
    expected = translated(HD, part("label"), "--inst", part("inst"), "--encode", part("img"))
    np.testing.assert_array_equal(made, expected)
    several = model(np.stack([labels] * 2), instances=np.stack([instances] * 2), style=np.stack([style] * 2))
    np.testing.assert_array_equal(several, np.stack([made] * 2))


def test_styles_that_are_drawn(translated, gan_cli, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(HD, run)
    labels, instances = pixels(part("label")), pixels(part("inst"))
    with pytest.raises(InvalidInput, match="there are no styles to draw from yet"):
        Model.open(run)(labels, instances=instances)
    data = tmp_path / "streets"
    gan_cli("dataset", "synth", "streets", "--out", data, "--size", 32, "--count", 4, "--test", 0)
    gan_cli("encode-features", "--model", run, "--data", data)
    model = Model.open(run)
    for seed in [0, 5]:
        expected = translated(run, part("label"), "--inst", part("inst"), "--style", seed)
        np.testing.assert_array_equal(model(labels, instances=instances, style=seed), expected)
    # A style is that of one call.
    np.testing.assert_array_equal(model(labels, instances=instances), model(labels, instances=instances, style=0))


def test_bare_weight_files(gan_cli, translated, tmp_path):
    weights = tmp_path / "latest_net_G.pth"
    gan_cli("convert", FIXTURES / "pix2pix", weights, "--network", "g")
    image = scene(33, 21)
    model = Model.open(weights)
    assert (model.method, model.step, model.input_channels, model.output_channels) == (None, None, 3, 3)
    assert any("resnet generator" in note for note in model.notes), model.notes
    np.testing.assert_array_equal(model(image), Model.open(FIXTURES / "pix2pix")(image))
    np.testing.assert_array_equal(model(image), translated(weights, image))
    # A folder of the references.
    np.testing.assert_array_equal(Model.open(tmp_path)(image), model(image))


def test_threads_and_limits_change_nothing():
    image = scene(300, 200)
    expected = Model.open(FIXTURES / "cyclegan")(image)
    for words in [{"threads": 1}, {"threads": 3}, {"max_memory": 400 << 20}]:
        np.testing.assert_array_equal(Model.open(FIXTURES / "cyclegan", **words)(image), expected)


def test_other_threads_run_while_a_model_computes():
    model = Model.open(FIXTURES / "cyclegan")
    image = scene(1200, 1200)
    ticks, over = 0, threading.Event()

    def count():
        nonlocal ticks
        while not over.wait(0.001):
            ticks += 1

    counter = threading.Thread(target=count)
    counter.start()
    before, began = ticks, time.perf_counter()
    expected = model(image)
    counted, took = ticks - before, time.perf_counter() - began
    over.set()
    counter.join()
    # The arrays are copied under the GIL; that is short.
    assert counted > 10, f"{counted} ticks in {took:.3f} s"
    results = [None] * 4

    def call(at):
        results[at] = model(image)

    callers = [threading.Thread(target=call, args=(at,)) for at in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


def in_child(model, image, results):
    results.put(model(image))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    model, image = Model.open(FIXTURES / "cyclegan"), scene(64, 64)
    expected = model(image)
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    child = fork.Process(target=in_child, args=(model, image, results))
    child.start()
    made = results.get(timeout=60)
    child.join()
    np.testing.assert_array_equal(made, expected)


def test_everything_is_explained():
    import gan_translate

    for name in gan_translate.__all__:
        assert name == "__version__" or getattr(gan_translate, name).__doc__, name
    for name, member in vars(Model).items():
        assert name.startswith("_") or member.__doc__, name


def test_what_a_model_says_of_itself():
    model = Model.open(str(FIXTURES / "cyclegan"))
    assert (model.method, model.architecture, model.input, model.device, model.step) == ("cyclegan", "resnet", "image", "cpu", 4)
    assert (model.input_channels, model.output_channels, model.takes_instances, model.has_styles) == (3, 3, False, False)
    assert model.path == FIXTURES / "cyclegan" and model.notes == []
    assert repr(model) == (
        f"Model('{FIXTURES / 'cyclegan'}', method='cyclegan', architecture='resnet', input='image', input_channels=3, output_channels=3, device='cpu')"
    )
    assert Model.open(HD).input_channels == 16
