"""A checkpoint as PyTorch code: whole, with its dense layers, and back to TensorFlow 1."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from torch_impl.tests.converting import convert
from torch_impl.tests.test_checkpoints_live import PYTHONS
from torch_impl.tests.test_tf1_zoo import RECORDED, TIME_MAJOR
from torch_impl.tf1.variables import Variables

HEADS = ["series_to_value", "many_labels", "two_heads"]  # which no run here is
live = pytest.mark.skipif(not PYTHONS, reason="UNROLLED_BACKENDS names no Python of TensorFlow 1.15.5")


def made(folder: Path, name: str, out: Path) -> dict[str, Any]:
    """What the code that is written for a checkpoint defines."""
    result = convert(folder / name, "--as-module", out / f"{name}.py")
    assert result.exit_code == 0, result.output
    assert "the whole model" in result.output
    return runpy.run_path(str(out / f"{name}.py"))


def outputs_of(module: Any, truth: dict[str, np.ndarray]) -> np.ndarray:
    inputs = truth["inputs"]
    given = torch.tensor(inputs if inputs.dtype.kind == "f" else inputs.astype(np.int64))
    lengths = torch.tensor(truth["lengths"].astype(np.int64)) if "lengths" in truth else None
    with torch.no_grad():
        found = module(given, lengths)
    return (found[0] if isinstance(found, tuple) else found).numpy()


def assert_same_files(one: Path, other: Path) -> None:
    for end in (".index", ".data-00000-of-00001"):
        assert one.with_name(one.name + end).read_bytes() == other.with_name(other.name + end).read_bytes()


@pytest.mark.parametrize("name", [name for name in RECORDED if name not in TIME_MAJOR] + HEADS)
def test_it_computes_what_tensorflow_did_and_goes_back(name: str, recorded: Path, tmp_path: Path) -> None:
    code = made(recorded, name, tmp_path)
    code["check"]()
    (module,) = code["load"]()
    with np.load(recorded / f"{name}.npz") as file:
        truth = dict(file)
    assert np.abs(outputs_of(module, truth) - truth["outputs"]).max() <= 1e-6 * np.abs(truth["outputs"]).max()
    for out in ("back", "saved"):
        back = convert(tmp_path / f"{name}.py", tmp_path / out / name, "--to-tf1")
        assert back.exit_code == 0, back.output
        assert_same_files(tmp_path / out / name, recorded / name)
        code["save"]([module])  # as it is, it changes nothing


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("series_to_value", "its dense layer on the final state is trained by a mean square, which no run here is"),
        ("many_labels", "on the final state is trained by a sigmoid cross-entropy, which no run here is"),
        ("two_heads", "it has 2 last dense layers, and a run here has one"),
    ],
)
def test_what_is_no_run_is_told_and_is_proved(name: str, told: str, recorded: Path, tmp_path: Path) -> None:
    refused = convert(recorded / name, tmp_path / "run")
    assert refused.exit_code == 2
    assert f"{told}: --as-module FILE.py writes it" in refused.output
    assert not (tmp_path / "run").exists()
    result = convert(recorded / name, "--as-module", tmp_path / "m.py", "--check", recorded / f"{name}.npz")
    if name == "two_heads":
        assert "there is no one model to check; --check-with PYTHON compares each" in result.output
        assert not (tmp_path / "m.py").exists()
        return
    assert result.exit_code == 0, result.output
    assert f"{told}: train it by a loss of your own" in result.output
    assert re.search(r"the largest difference is \d\.\de-0[78] of the largest output", result.output)


def test_what_was_trained_goes_back_too(recorded: Path, tmp_path: Path) -> None:
    """A step moves the weights, in PyTorch's layout, and TensorFlow's variables are those: with them it computes what
    the module does."""
    code = made(recorded, "series_to_value", tmp_path)
    (module,) = code["load"]()
    with np.load(recorded / "series_to_value.npz") as file:
        truth = dict(file)
    optimizer = torch.optim.SGD([each for each in module.parameters() if each.requires_grad], 0.1)
    loss = (module(torch.tensor(truth["inputs"])) - torch.tensor(truth["targets"])).square().mean()
    loss.backward()
    optimizer.step()
    code["save"]([module.eval()])
    back = convert(tmp_path / "series_to_value.py", tmp_path / "back" / "series_to_value", "--to-tf1")
    assert back.exit_code == 0, back.output
    before, after = Variables(recorded / "series_to_value"), Variables(tmp_path / "back" / "series_to_value")
    moved = [name for name in before.entries if not np.array_equal(before.read(name), after.read(name))]
    assert moved == [name for name in before.entries if "Adam" not in name and "power" not in name]
    (tmp_path / "back" / "series_to_value.meta").write_bytes((recorded / "series_to_value.meta").read_bytes())
    again = made(tmp_path / "back", "series_to_value", tmp_path / "again")
    assert np.array_equal(outputs_of(again["load"]()[0], truth), outputs_of(module, truth))


def test_pytorch_alone_is_enough_where_it_has_the_modules(recorded: Path, tmp_path: Path) -> None:
    made(recorded, "series_to_value", tmp_path)
    text = (tmp_path / "series_to_value.py").read_text()
    assert "nn.LSTM(3, 5, batch_first=True)" in text and "torch_impl import" not in text
    again = convert(recorded / "series_to_value", "--as-module", tmp_path / "series_to_value.py")
    assert "exists; name another file" in again.output


def test_files_that_are_no_module_are_refused_in_a_sentence(recorded: Path, tmp_path: Path) -> None:
    made(recorded, "many_labels", tmp_path)
    path, weights = tmp_path / "many_labels.py", tmp_path / "many_labels.safetensors"
    dense = convert(path, tmp_path / "back" / "x", "--to-tf1", "--dense", "dense")
    assert "a module has the names that its variables came with: leave --dense out" in dense.output
    content = weights.read_bytes()
    for broken, reason in (
        (content[:-9], "not a safetensors file that can be read"),
        (content.replace(b"__metadata__", b"__metadatb__"), "not a safetensors file that can be read"),
        (
            content.replace(b"candidate/kernel", b"candidate/kernal"),
            "does not say which variable candidate/kernel was",
        ),
    ):
        weights.write_bytes(broken)
        result = convert(path, tmp_path / "back" / "x", "--to-tf1")
        assert result.exit_code == 2, result.output
        assert reason in result.output and "Traceback" not in result.output
    weights.unlink()
    assert "many_labels.safetensors" in convert(path, tmp_path / "back" / "x", "--to-tf1").output
    assert not (tmp_path / "back").exists()


def test_a_bias_that_tensorflow_does_not_have_may_not_be_trained_away(recorded: Path, tmp_path: Path) -> None:
    code = made(recorded, "many_labels", tmp_path)
    from torch_impl.tf1.back import _Run
    from torch_impl.tf1.module_file import read_module

    code["save"](code["load"]())
    tensors, state = read_module(tmp_path / "many_labels.py")
    state["tf1"].setdefault("sources", {})["dense/bias"] = {"names": [], "zeros": [2]}
    with pytest.raises(Exception, match="dense/bias was trained here, and there is no variable"):
        _Run(tensors, state, {}, None).variables()


def test_saving_that_fails_leaves_the_weights_as_they_were(recorded: Path, tmp_path: Path) -> None:
    code = made(recorded, "series_to_value", tmp_path)
    weights = tmp_path / "series_to_value.safetensors"
    before = weights.read_bytes()

    def full_disk(_tensors: Any, path: Path, _metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    def changed() -> list[Any]:
        (module,) = code["load"]()
        with torch.no_grad():
            next(module.parameters()).add_(1)
        return [module]

    code["save"].__globals__["save_file"], save_file = full_disk, code["save_file"]
    with pytest.raises(OSError, match="no space left"):
        code["save"](changed())
    assert weights.read_bytes() == before
    code["save"].__globals__["save_file"] = save_file
    code["save"](changed())
    assert weights.read_bytes() != before
    assert {each.name for each in tmp_path.iterdir()} == {"series_to_value.py", weights.name}


def test_the_check_takes_outputs_of_zeros_and_ends_by_a_sentence(recorded: Path, tmp_path: Path) -> None:
    """Also where assertions are off, as in python -O."""
    code = made(recorded, "two_heads", tmp_path)
    (module,) = code["load"]()
    weights = code["load_file"](tmp_path / "two_heads.safetensors")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    given = {name: each for name, each in weights.items() if name.startswith("check/")}
    zeros = {name: torch.zeros_like(each) if "outputs" in name else each for name, each in given.items()}
    state = {f"0/{name}": each for name, each in module.state_dict().items()}
    code["save_file"]({**weights, **state, **zeros}, tmp_path / "two_heads.safetensors")
    code["check"]()
    code["save_file"]({**weights, **state}, tmp_path / "two_heads.safetensors")
    with pytest.raises(SystemExit, match=r"two_heads\.safetensors: not the outputs of the conversion"):
        code["check"]()


def altered(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A module's file of weights, with what its metadata tells changed."""
    with safetensors.safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["tf1"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
    change(told)
    safetensors.torch.save_file(tensors, path, {"tf1": json.dumps(told)})


def test_metadata_of_another_network_is_refused_before_memory_is_taken(recorded: Path, tmp_path: Path) -> None:
    for name in ("series_to_value", "many_labels"):  # PyTorch's modules, and this library's
        made(recorded, name, tmp_path)
        path = tmp_path / f"{name}.safetensors"
        content = path.read_bytes()
        for key, value in (("units", 1 << 20), ("state", "elsewhere/")):

            def change(told: dict[str, Any], key: str = key, value: Any = value) -> None:
                network = told["networks"][0]["network"]
                cell = network["layers"][0] if "layers" in network else network
                (told["networks"][0] if key == "state" else cell)[key] = value

            altered(path, change)
            result = convert(path, tmp_path / "back" / "x", "--to-tf1")
            assert result.exit_code == 2 and "Traceback" not in result.output, result.output
            assert "its weights are not those that were converted (its network of" in result.output, result.output
            path.write_bytes(content)


def test_a_module_goes_back_where_no_weight_is_one_variable_as_it_is(recorded: Path, tmp_path: Path) -> None:
    """Each is a variable transposed; there is none that keeps its form."""
    made(recorded, "many_labels", tmp_path)
    path = tmp_path / "many_labels.safetensors"
    names: dict[str, str] = {}

    def change(told: dict[str, Any]) -> None:
        names.update(told["tf1_names"])
        sources = {name: {"names": [variable], "transposed": True} for name, variable in names.items()}
        told["tf1_names"], told["tf1"]["sources"] = {}, sources

    altered(path, change)
    result = convert(path, tmp_path / "back" / "x", "--to-tf1")
    assert result.exit_code == 0, result.output
    before, after = Variables(recorded / "many_labels"), Variables(tmp_path / "back" / "x")
    assert set(after.entries) == set(before.entries)
    assert all(np.array_equal(after.read(name), before.read(name).T) for name in names.values())
    dense = convert(path, tmp_path / "other" / "y", "--to-tf1", "--dense", "dense")
    assert dense.exit_code == 2 and "leave --dense out" in dense.output


def test_a_module_has_no_checkpoint_to_choose(recorded: Path, tmp_path: Path) -> None:
    made(recorded, "many_labels", tmp_path)
    result = convert(tmp_path / "many_labels.py", tmp_path / "back" / "x", "--to-tf1", "--checkpoint", "best")
    assert result.exit_code == 2 and "--checkpoint has no meaning for" in result.output


@live
@pytest.mark.parametrize("name", HEADS)
def test_tensorflow_itself_proves_the_heads(name: str, zoo: Path, tmp_path: Path) -> None:
    result = convert(zoo / name, "--as-module", tmp_path / "m.py", "--check-with", PYTHONS[0])
    assert result.exit_code == 0, result.output
    assert f"checked with {PYTHONS[0]}" in result.output
