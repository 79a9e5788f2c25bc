from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from pie_framework.errors import RunError
from pie_training import EngineSettings
from pie_training.processes import agreed, generator, start, summed

WORKER = Path(__file__).with_name("worker.py")


def worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker", WORKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    """Run the worker in two processes as torchrun would; what each printed."""
    count = 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parents[3]
    paths = os.pathsep.join([str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")])
    shared = {
        **os.environ, "PYTHONPATH": paths, "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, ended, strict=True):
        assert process.returncode == 0, errors
    return [out for out, _ in ended]


def test_two_processes_have_the_gradient_of_one(folder: Path, printed: list[str]) -> None:
    """And start from the same weights, whatever each has drawn."""
    alone = worker().gradients(start(EngineSettings(steps=1, precision="float32"), "cpu", folder))
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == alone.keys() == {"weight", "bias"}
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, msg=name)
        assert torch.equal(first[name], second[name]), name


def test_both_recipes_train_in_two_processes(folder: Path, printed: list[str]) -> None:
    """One of them speaks and writes, both end, and both have moved."""
    first, second = printed
    assert "step 6" in first
    assert "step" not in second
    assert "ended 0 True" in first
    assert "ended 1 True" in second
    for name in ("encoder/encoder.safetensors", "rig/rig_expression.safetensors", "encoder/state.pt"):
        assert (folder / name).exists(), name
    state = torch.load(folder / "encoder" / "state.pt", weights_only=True)
    assert len(state["ranks"]) == 2
    assert not torch.equal(state["ranks"][0]["rng"], state["ranks"][1]["rng"])
    assert not list(folder.glob("**/*.part"))


def test_each_process_draws_its_own(tmp_path: Path) -> None:
    alone = start(EngineSettings(steps=1), "cpu", tmp_path)
    assert generator(alone, 5).initial_seed() == 5
    assert generator(SimpleNamespace(process_index=1), 5).initial_seed() != 5  # type: ignore[arg-type]
    assert summed(alone, [1.0, 2.0]) == [1.0, 2.0] and agreed(alone, 3.0) == 3.0


def test_one_training_does_not_bind_the_next(tmp_path: Path) -> None:
    for precision, accumulate, wanted in (("bfloat16", 3, torch.bfloat16), ("float32", 1, torch.float32)):
        settings = EngineSettings(steps=1, precision=precision, accumulate=accumulate)
        accelerator = start(settings, "cpu", tmp_path)
        assert accelerator.gradient_accumulation_steps == accumulate
        with accelerator.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == wanted


def test_processes_that_are_not_found_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**_: object) -> None:
        raise ValueError("rank 1 is missing")

    monkeypatch.setattr("accelerate.Accelerator", absent)
    with pytest.raises(RunError, match=r"rank 1 is missing.*torchrun"):
        start(EngineSettings(steps=1), "cpu", tmp_path)
