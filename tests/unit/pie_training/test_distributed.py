from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pie_framework.errors import RunError
from pie_training.distributed import Processes, join, on_cpu

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
    """Also through batch normalisation, whose statistics are those of the whole batch."""
    alone = worker().gradients(Processes())
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == alone.keys()
    for name, value in alone.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-5, msg=name)
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


def test_alone_everything_returns_at_once() -> None:
    processes = Processes()
    assert processes.sum([1.0, 2.0]) == [1.0, 2.0]
    assert processes.agree(3.0) == 3.0
    assert processes.gather("x") == ["x"]
    draws = [Processes(rank, 2).generator(5).initial_seed() for rank in (0, 1)]
    assert draws[0] == 5
    assert draws[1] != 5


def test_what_is_gathered_is_the_same_on_the_cpu() -> None:
    rows = torch.ones(2, requires_grad=True)
    given = {"a": [rows, (1, "x", None)], 0: {"b": rows}}
    found = on_cpu(given)
    assert found[0]["b"].device.type == "cpu" and not found["a"][0].requires_grad
    assert torch.equal(found["a"][0], rows) and found["a"][1] == (1, "x", None)


def test_a_launcher_that_says_half_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RunError, match="torchrun"):
        join("cpu")
