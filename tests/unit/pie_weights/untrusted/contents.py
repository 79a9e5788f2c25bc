"""Files that are not what they should be: tensors that do not fit, other networks, web pages, cut files."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from pie_stylegan.formats.nvidia import read_network
from pie_stylegan.io import load_generator, save_generator
from tests.unit.pie_weights.untrusted import assembly as asm
from tests.unit.pie_weights.untrusted.kinds import ADA, GOLDEN, ROSINALITY, Bytes, Evil


def broken_network(change: Callable[[dict[str, torch.Tensor]], object]) -> Bytes:
    def make(command: str) -> bytes:
        network = read_network(ADA)
        state = {name: value.clone() for name, value in network.state.items()}
        change(state)
        return asm.nvidia(state, network.attributes)

    return make


NAME = "synthesis.b8.conv0.weight"
CONTENTS = [
    Evil("missing tensors", broken_network(lambda s: s.pop(NAME)), f"lacks the tensor '{NAME}'"),
    Evil(
        "extra tensors",
        broken_network(lambda s: s.update({"stranger.weight": torch.zeros(2)})),
        "does not, first 'stranger.weight'",
    ),
    Evil(
        "integers for weights",
        broken_network(lambda s: s.update({NAME: s[NAME].long()})),
        r"blocks.1.conv0.weight' in '.*' holds torch.int64, not torch.float32",
    ),
    Evil("NaN in weights", broken_network(lambda s: s[NAME].fill_(torch.nan)), "not finite"),
    Evil("infinity in weights", broken_network(lambda s: s[NAME].fill_(torch.inf)), "not finite"),
    Evil(
        "a tensor of another shape",
        broken_network(lambda s: s.update({NAME: torch.zeros(32, 31, 3, 3)})),
        r"is \(32, 31, 3, 3\), not \(32, 32, 3, 3\)",
    ),
    Evil(
        "a text instead of a tensor",
        broken_network(lambda s: s.update({NAME: "weights"})),  # type: ignore[dict-item]
        f"'{NAME}' in it is not a tensor",
    ),
    Evil(
        "blocks with gaps",
        broken_network(lambda s: [s.pop(k) for k in [*s] if k.startswith("synthesis.b8.")]),
        "its blocks are",
    ),
    Evil(
        "another network under G_ema", lambda c: asm.nvidia({"net.weight": torch.zeros(2)}), "not a StyleGAN2"
    ),
    Evil(
        "no network at all",
        lambda c: asm.whole(b"}" + asm.text("weights") + b"]" + b"s"),
        "holds no generator",
    ),
    Evil(
        "a StyleGAN3 file",
        lambda c: (GOLDEN / "stylegan3" / "sg3_t_32.pkl").read_bytes(),
        "generator=stylegan3",
    ),
    Evil(
        "extra tensors in a rosinality file",
        lambda c: _rosinality({"stranger": torch.zeros(2)}),
        "does not, first 'stranger'",
    ),
    Evil("a web page named .pkl", lambda c: b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
    Evil("a gzip archive named .pkl", lambda c: gzip.compress(b"\x80\x04N."), "gzip archive"),
    Evil(
        "a Git LFS pointer",
        lambda c: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "LFS pointer",
    ),
    Evil("an empty file", lambda c: b"", "is empty"),
    Evil("random bytes", lambda c: np.random.default_rng(0).bytes(4096), "not in a format that is read here"),
]


def _rosinality(extra: dict[str, torch.Tensor]) -> bytes:
    content = torch.load(ROSINALITY, weights_only=True)
    content["g_ema"].update(extra)
    return asm.legacy(content)


def cut(whole: bytes) -> Iterator[bytes]:
    """A file truncated at every fiftieth of its length."""
    for k in range(1, 50):
        yield whole[: len(whole) * k // 50]


def own_file() -> bytes:
    """A safetensors file of this package."""
    with tempfile.TemporaryDirectory() as folder:
        save_generator(load_generator(ROSINALITY), Path(folder) / "g.safetensors", half=False)
        return (Path(folder) / "g.safetensors").read_bytes()


WHOLE: dict[str, Callable[[], bytes]] = {
    "NVIDIA pickle": ADA.read_bytes,
    "torch file (zip)": ROSINALITY.read_bytes,
    "torch file (legacy)": lambda: asm.legacy(torch.load(ROSINALITY, weights_only=True)),
    "safetensors": own_file,
}
