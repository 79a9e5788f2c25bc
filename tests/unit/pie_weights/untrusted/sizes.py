"""Files that ask for memory or time: huge sizes, sharing, nesting, floods."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from pie_features import perceptual
from pie_weights.files import load_network
from pie_weights.untrusted import read_safetensors
from tests.unit.pie_weights.untrusted import assembly as asm
from tests.unit.pie_weights.untrusted.kinds import MIB, Evil


def laughs(levels: int) -> bytes:
    """Lists of ten times the list before: small in memory, huge when written out."""
    body = b"]q\x00" + asm.text("ha") + b"a0"
    for level in range(levels):
        body += (
            b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1]) + b"0"
        )
    return asm.whole(b"}", asm.text("G_ema"), body, b"h", bytes([levels]), b"s")


def many_views(count: int) -> bytes:
    """One storage of 1 MiB, named by `count` tensors."""
    body = b"](" + asm.storage(asm.floats(MIB // 4)) + b"q\x00"
    return asm.whole(body, asm.tensor(b"h\x00", (MIB // 4,)) * count, b"e")


def colliding() -> bytes:
    """A dictionary whose integer keys all have the hash 1."""
    keys = (asm.integer(1 + k * ((1 << 61) - 1)) + b"N" for k in range(20_000))
    return asm.whole(b"}(", *keys, b"u")


def wide_network(command: str) -> bytes:
    """A layer of a million channels made of no numbers at all."""
    state = {
        "synthesis.b4.const": torch.zeros(4, 4, 4),
        "synthesis.b4.conv1.weight": torch.zeros(4, 4, 3, 3),
        "synthesis.b4.conv1.affine.weight": torch.zeros(4, 4),
        "synthesis.b8.conv1.weight": torch.zeros(1_000_000, 0, 3, 3),
        "synthesis.b4.torgb.weight": torch.zeros(3, 4, 1, 1),
        "synthesis.b8.torgb.weight": torch.zeros(3, 4, 1, 1),
        "mapping.fc0.weight": torch.zeros(4, 4),
    }
    return asm.nvidia(state)


def own_header(**changes: Any) -> bytes:
    """A safetensors file of this package whose architecture is out of all measure."""
    config = {"resolution": 8, "latent_dim": 4, "prior_dim": 4, "channels": [4, 4], **changes}
    header = {"format": "pie.stylegan2", "version": 1, "config": config}
    return asm.safetensors({"__metadata__": {"pie": json.dumps(header)}})


def deep() -> bytes:
    """A weight file of two tensors that asks for a hundred thousand layers."""
    architecture = {"widths": [4, 4, 4, 4], "depths": [1, 100_000, 2, 1]}
    header = {"__metadata__": {"kind": perceptual.KIND, "architecture": json.dumps(architecture)}}
    return asm.safetensors(header)


def load_perceptual(path: Path) -> object:
    return load_network(
        path, perceptual.KIND, perceptual.PerceptualNetwork, torch.device("cpu"), torch.float32
    )


SIZES = [
    Evil(
        "memo bomb: LONG_BINPUT 2**32 - 1",
        lambda c: asm.whole(b"Nr\xff\xff\xff\xff"),
        "something else where a network",
    ),
    Evil("billion laughs: 10**40 entries", lambda c: laughs(40), "more than 1000000 entries"),
    Evil(
        "a million nested lists",
        lambda c: asm.proto() + b"]" * 1_000_000 + b"a" * 999_999 + b".",
        "more than 500000 instructions",
    ),
    Evil(
        "150,000 nested lists",
        lambda c: asm.proto() + b"]" * 150_000 + b"a" * 149_999 + b".",
        "nested more than 100 deep",
    ),
    Evil("a list that contains itself", lambda c: asm.whole(b"]q\x00h\x00a"), "contains itself"),
    Evil(
        "a million sets",
        lambda c: asm.proto() + b"\x8f" * 1_000_000 + b".",
        "more memory than the file can fill",
    ),
    Evil(
        "1.1 million instructions",
        lambda c: asm.proto() + b"N0" * 550_000 + b"N.",
        "more than 500000 instructions",
    ),
    Evil("BINBYTES8 of 2**60 bytes", lambda c: asm.whole(b"\x8e" + struct.pack("<Q", 1 << 60)), "lies"),
    Evil(
        "BINUNICODE8 of 2**40 characters", lambda c: asm.whole(b"\x8d" + struct.pack("<Q", 1 << 40)), "lies"
    ),
    Evil(
        "a text of 32 MiB", lambda c: asm.whole(asm.text("x" * (32 * MIB))), "something else where a network"
    ),
    Evil("LONG4 of 2**31 - 1 bytes", lambda c: asm.whole(b"\x8b\xff\xff\xff\x7f"), "announces 2147483647"),
    Evil(
        "an integer of 100,000 digits",
        lambda c: asm.whole(b"I" + b"9" * 100_000 + b"\n"),
        "more than 64 digits",
    ),
    Evil(
        "an integer of 16 million bits",
        lambda c: asm.whole(b"\x8b", struct.pack("<i", 2 * MIB), b"x" * (2 * MIB)),
        "bits",
    ),
    Evil(
        "a key that takes 2**60 steps to hash",
        lambda c: asm.whole(b"}N" + b"q\x00h\x00\x86" * 60 + b"Ns"),
        "as a key",
    ),
    Evil(
        "a text of 1 MiB named 100,000 times",
        lambda c: asm.whole(b"(" + asm.text("x" * MIB) + b"q\x00" + b"h\x00" * 100_000 + b"l"),
        "more than 1000000 entries",
    ),
    Evil("20,000 keys of one hash", lambda c: colliding(), "as a key"),
    Evil(
        "a tensor of 2**40 numbers with stride 0",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.floats(4)), (1 << 40,), (0,))),
        "storage of 4 numbers, which is too small",
    ),
    Evil(
        "a tensor of a negative size",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.floats(4)), (-4,), (1,))),
        "negative or impossible shape",
    ),
    Evil(
        "a tensor that starts before its storage",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.floats(4)), (2,), (1,), -1)),
        "negative or impossible shape",
    ),
    Evil(
        "a tensor whose strides leave its storage",
        lambda c: asm.whole(asm.tensor(asm.storage(asm.floats(4)), (2, 2), (1 << 40, 1))),
        "too small",
    ),
    Evil(
        "a storage of 2**40 numbers in a file of 200 bytes",
        lambda c: asm.torch_zip(
            asm.whole(asm.tensor(asm.persistent_storage(1 << 40), (1,))), {"data/0": b"x"}
        ),
        "missing or cut off",
    ),
    Evil("one storage named by 10,000 tensors", lambda c: many_views(10_000), "same data over and over"),
    Evil(
        "one storage loaded 10,000 times",
        lambda c: asm.whole(
            asm.glob("torch.storage", "_load_from_bytes")
            + b"q\x00"
            + asm.raw(asm.floats(MIB // 4))
            + b"\x85q\x01",
            b"(" + b"h\x00h\x01R" * 10_000 + b"l",
        ),
        "same data over and over",
    ),
    Evil(
        "one text encoded 10,000 times",
        lambda c: asm.whole(
            asm.glob("_codecs", "encode") + b"q\x00" + asm.text("x" * MIB) + b"\x85q\x01",
            b"(" + b"h\x00h\x01R" * 10_000 + b"l",
        ),
        "same data over and over",
    ),
    Evil(
        "a byte string of 1 MiB made a shape 10,000 times",
        lambda c: asm.whole(
            asm.glob("torch", "Size") + b"q\x00" + asm.raw(b"x" * MIB) + b"\x85q\x01(",
            b"h\x00h\x01R" * 10_000 + b"l",
        ),
        "same data over and over",
    ),
    Evil(
        "one list made a dictionary, a set, a shape 50,000 times",
        lambda c: asm.whole(
            asm.glob("builtins", "set")
            + b"q\x00"
            + b"("
            + b"".join(map(asm.integer, range(50_000)))
            + b"l\x85q\x01",
            b"(" + b"h\x00h\x01R" * 50_000 + b"l",
        ),
        "same data over and over",
    ),
    Evil(
        "a NumPy array of 2**40 numbers",
        lambda c: asm.whole(asm.array("f8", (1 << 40,), asm.raw(b"x" * 8))),
        "announces 8796093022208 bytes and carries 8",
    ),
    Evil(
        "a NumPy dtype of its own making",
        lambda c: asm.whole(asm.array("V100000000", (1,), asm.raw(b"x"))),
        "unknown kind",
    ),
    Evil(
        "a zip bomb: 64 MiB of zeros in 64 kB",
        lambda c: asm.torch_zip(
            asm.whole(asm.tensor(asm.persistent_storage(16 * MIB), (16 * MIB,))),
            {"data/0": b"\0" * (64 * MIB)},
            zipfile.ZIP_DEFLATED,
        ),
        "is compressed",
    ),
    Evil(
        "a zip whose members overlap",
        lambda c: overlapping(),
        "overlap",
    ),
    Evil(
        "a zip whose directory has 40,000 members",
        lambda c: asm.torch_zip(asm.whole(b"}"), {f"data/{k}": b"" for k in range(40_000)}),
        "directory is damaged",
    ),
    Evil("a weight file whose depth drives a loop", lambda c: deep(), "many more parts", load_perceptual),
    Evil(
        "a network of a million channels without numbers", wide_network, "impossible shape|widths are at most"
    ),
    Evil(
        "a safetensors header that asks for 2**40 latents",
        lambda c: own_header(latent_dim=1 << 40),
        "at most",
    ),
    Evil(
        "a safetensors header that asks for a billion layers",
        lambda c: own_header(mapping_layers=10**9),
        "at most",
    ),
    Evil("a safetensors header of 2**39 bytes", lambda c: asm.safetensors({}, b"", 1 << 39), "at most"),
    Evil(
        "a safetensors header nested 100,000 deep",
        lambda c: asm.safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "is cut off or damaged",
    ),
    Evil(
        "a safetensors header whose shape lies",
        lambda c: asm.safetensors(
            {"a": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 16]}}, b"\0" * 16
        ),
        "invalid shape",
        read_safetensors,
    ),
    Evil(
        "a safetensors header whose tensors overlap",
        lambda c: asm.safetensors(
            {k: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for k in "ab"}, b"\0" * 16
        ),
        "invalid offset",
        read_safetensors,
    ),
    Evil(
        "a safetensors header with offsets before the data",
        lambda c: asm.safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
        "is cut off or damaged",
        read_safetensors,
    ),
]


def overlapping() -> bytes:
    """A zip in which two directory entries share one member's bytes."""
    data = asm.torch_zip(asm.whole(b"}"), {"data/0": b"\0" * 64, "data/1": b"\0" * 64})
    at = [k for k in range(len(data)) if data[k : k + 4] == b"PK\x01\x02"]
    first = data[at[3] + 42 : at[3] + 46]
    return data[: at[4] + 42] + first + data[at[4] + 46 :]
