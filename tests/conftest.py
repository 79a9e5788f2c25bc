"""What all tests share: the same surroundings on every machine, and throw-away distributions on sys.path."""

from __future__ import annotations

import importlib.metadata
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import shapes

#: Set where tests run under a launcher or in a shell of someone's own; each would change what is tested.
OTHERS = ("PIE_PLUGINS", "WORLD_SIZE", "RANK", "LOCAL_RANK", "HYDRA_FULL_ERROR", "COLUMNS", "FORCE_COLOR")
for name in OTHERS:
    os.environ.pop(name, None)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests are about the CPU: with a GPU in sight `device=auto` would take it. CUDA_VISIBLE_DEVICES=0 pytest shows it.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

shapes.install()

Install = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _no_files_of_this_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Assets and caches of whoever runs the tests are neither seen nor changed."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("user")
        patch.setenv("PIE_ASSETS", str(folder / "assets"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_plugins_of_this_user() -> Iterator[None]:
    """Plugins that happen to be installed are not seen in this process; those that a test installs are."""
    found = importlib.metadata.distributions

    def place(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
        return distribution.name, str(distribution.locate_file(""))

    theirs = {
        place(distribution)
        for distribution in found()
        if distribution.name != "pie-framework"
        and any(point.group == "pie_framework" for point in distribution.entry_points)
    }
    with pytest.MonkeyPatch.context() as patch:
        if theirs:
            patch.setattr(
                importlib.metadata,
                "distributions",
                lambda **where: (d for d in found(**where) if place(d) not in theirs),
            )
        yield


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """A test that draws without a generator of its own draws the same in any order of tests."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """For a test that gives wrong shapes, to see what is said of them."""
    shapes.switch(False)
    yield
    shapes.switch(True)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Write a distribution with its files and entry points into a folder, and put that on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def write(
        distribution: str, entry_points: Mapping[str, str], files: Mapping[str, str], version: str = "1.2.3"
    ) -> Path:
        for name, text in files.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[pie_framework]", *lines, ""]))
        return site

    yield write  # type: ignore[misc]
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]
