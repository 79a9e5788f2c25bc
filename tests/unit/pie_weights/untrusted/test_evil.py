"""Hostile files: nothing of them runs, memory stays bounded, and each gives one clear error."""

from __future__ import annotations

import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pie_framework.errors import AssetError
from pie_stylegan.io import load_generator
from pie_weights.untrusted import UntrustedFileError
from tests.unit.pie_weights.untrusted.calls import CALLS, module_source, system
from tests.unit.pie_weights.untrusted.contents import WHOLE, cut
from tests.unit.pie_weights.untrusted.evil import EVILS
from tests.unit.pie_weights.untrusted.kinds import ADA, ROOT, Evil
from tests.unit.pie_weights.untrusted.sizes import SIZES
from tests.unit.pie_weights.untrusted.watching import attempt, warm_up, watched


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


@pytest.mark.parametrize("evil", EVILS, ids=lambda evil: evil.kind)
def test_kind(tmp_path: Path, evil: Evil) -> None:
    marker, path = tmp_path / "marker", tmp_path / "network.pkl"
    path.write_bytes(evil.make(f"touch {marker}"))
    before = sorted(tmp_path.iterdir())
    outcome = attempt(evil.read, path)
    assert outcome.events == []
    assert sorted(tmp_path.iterdir()) == before, "it wrote a file"
    if evil.said is None:
        assert outcome.error is None
        return
    assert isinstance(outcome.error, AssetError), repr(outcome.error)
    message = str(outcome.error)
    assert re.search(evil.said, message), message
    assert str(path) in message
    assert message.isprintable() and len(message) < 400


@pytest.mark.parametrize("name", WHOLE)
def test_cut_at_every_fiftieth(tmp_path: Path, name: str) -> None:
    path = tmp_path / "network.pkl"
    parts = [*cut(WHOLE[name]())]
    assert len(parts) == 49
    for part in parts:
        path.write_bytes(part)
        outcome = attempt(load_generator, path)
        assert isinstance(outcome.error, UntrustedFileError), repr(outcome.error)
        assert outcome.events == []


@pytest.mark.parametrize("name", WHOLE)
def test_flipped_bytes_never_do_more_than_an_error(tmp_path: Path, name: str) -> None:
    import random

    whole, rng, path = WHOLE[name](), random.Random(0), tmp_path / "network.pkl"
    for _ in range(60):
        part = bytearray(whole)
        for _ in range(4):
            part[rng.randrange(min(len(part), 4000))] = rng.randrange(256)
        path.write_bytes(part)
        outcome = attempt(load_generator, path)
        assert outcome.error is None or isinstance(outcome.error, AssetError), repr(outcome.error)
        assert outcome.events == []


def test_the_watch_sees_what_pythons_own_unpickler_does(tmp_path: Path) -> None:
    """The files are what they claim: Python's unpickler runs them, and the audit hook tells."""
    marker = tmp_path / "marker"
    data = CALLS[0].make(f"touch {marker}")
    assert system("x") in CALLS[0].make("x")
    with watched() as events:
        pickle.loads(data)
    assert marker.exists()
    assert any(event.startswith("os.system") for event in events)
    assert any(event.startswith("pickle.find_class") for event in events)


def test_code_in_module_src_changes_nothing(tmp_path: Path) -> None:
    import torch

    (tmp_path / "x.pkl").write_bytes(module_source("false"))
    assert b"__import__" in (tmp_path / "x.pkl").read_bytes()
    evil, good = load_generator(tmp_path / "x.pkl"), load_generator(ADA)
    assert all(torch.equal(v, good.state_dict()[k]) for k, v in evil.state_dict().items())


@pytest.mark.skipif(
    not hasattr(resource, "RLIMIT_AS") or sys.platform == "darwin", reason="needs address limits"
)
def test_demands_stay_below_a_hard_limit_of_memory(tmp_path: Path) -> None:
    """In a process that may take 256 MiB more than it has after starting, every demand still ends in its error."""
    script = f"""
import re, resource, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "plugins")!r}]
from pathlib import Path
import torch
torch.set_num_threads(1)
from pie_framework.errors import AssetError
from tests.unit.pie_weights.untrusted.sizes import SIZES
from tests.unit.pie_weights.untrusted.watching import warm_up
warm_up()
path = Path({str(tmp_path / "network.pkl")!r})
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
for evil in SIZES:
    path.write_bytes(evil.make(""))
    try:
        evil.read(path)
    except AssetError as error:
        assert re.search(evil.said, str(error)), (evil.kind, str(error))
        print(evil.kind)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == len(SIZES)
