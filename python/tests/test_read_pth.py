"""Weight files as arrays, against PyTorch where it is installed."""

import pickle

import numpy as np
import pytest
from conftest import FIXTURES, ROOT
from gan_translate import InvalidInput, NotFound, StateDict, read_pth

FILES = ROOT / "crates/gan-weights/tests/fixtures/pth"


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def test_both_containers_hold_the_same():
    old, new = (read_pth(FILES / f"network.{container}.pth") for container in ("legacy", "zip"))
    assert isinstance(old, StateDict) and list(old) == list(new) and len(old) > 0
    for name, array in old.items():
        np.testing.assert_array_equal(array, new[name])
        assert array.flags.writeable and array.flags.c_contiguous


def test_a_file_of_the_program(gan_cli, tmp_path):
    weights = FIXTURES / "pix2pix/checkpoints/4/g.safetensors"
    gan_cli("convert", weights, tmp_path / "g.pth")
    of_pth, of_safetensors = read_pth(tmp_path / "g.pth"), read_pth(str(weights))
    assert set(of_pth) == set(of_safetensors)
    for name, array in of_safetensors.items():
        assert array.dtype == of_pth[name].dtype
        np.testing.assert_array_equal(array, of_pth[name])


def test_nothing_is_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "bomb.pth"
    path.write_bytes(pickle.dumps({"weight": Bomb()}, protocol=2))
    with pytest.raises(InvalidInput):
        read_pth(path)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(NotFound):
        read_pth(tmp_path / "none.pth")


def test_arrays_are_those_of_torch(torch, tmp_path):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(4, 3, 2, generator=generator)
    types = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
    state = {str(dtype): (noise * 50).abs().to(dtype) if dtype == torch.uint8 else (noise * 50).to(dtype) for dtype in types}
    state["complex"] = torch.complex(noise, noise + 1)
    state["scalar"], state["empty"] = torch.tensor(7), torch.zeros(0, 3)
    state["strided"] = noise.transpose(0, 2)
    path = tmp_path / "state.pth"
    for legacy in [False, True]:
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        read = read_pth(path)
        assert list(read) == list(state) or set(read) == set(state)
        for name, tensor in torch.load(path, weights_only=True).items():
            assert (read[name].dtype, read[name].shape) == (tensor.numpy().dtype, tensor.numpy().shape), name
            np.testing.assert_array_equal(read[name], tensor.numpy())


def test_bfloat16_becomes_float32(torch, tmp_path):
    values = torch.randn(5, generator=torch.Generator().manual_seed(2)).bfloat16()
    torch.save({"x": values}, tmp_path / "x.pth")
    read = read_pth(tmp_path / "x.pth")["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.float().numpy())


def test_what_is_no_tensor_is_described(torch, tmp_path):
    path = tmp_path / "mixed.pth"
    weight = torch.randn(3, 3)
    torch.save({"w": weight, "sparse": weight.to_sparse(), "eight": weight.to(torch.float8_e4m3fn), "epoch": 3}, path)
    read = read_pth(path)
    assert list(read) == ["w"]
    assert "sparse tensor" in read.opaque["sparse"]
    assert read.opaque["eight"] == "float8_e4m3fn [3, 3], a type that NumPy lacks"
    assert any("epoch" in note for note in read.notes), read.notes


def test_several_networks_are_asked_about(torch, tmp_path):
    path = tmp_path / "both.pth"
    torch.save({"summer": {"w": torch.ones(2)}, "winter": {"w": torch.zeros(2)}}, path)
    with pytest.raises(InvalidInput, match="summer, winter"):
        read_pth(path)
    np.testing.assert_array_equal(read_pth(path, entry="winter")["w"], [0, 0])
    np.testing.assert_array_equal(read_pth(path, "summer")["w"], [1, 1])
