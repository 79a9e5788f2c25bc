"""What a kind of hostile or damaged file is: its bytes, and what the one error must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_stylegan.io import load_generator

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = ROOT / "tests" / "golden"
ADA = GOLDEN / "stylegan2" / "ada_fp16clamp_32.pkl"
ROSINALITY = GOLDEN / "rosinality" / "ros_16.pt"
MIB = 1 << 20

Bytes = Callable[[str], bytes]


@dataclass(frozen=True)
class Evil:
    """One kind of file.

    Attributes:
        kind: what it tries.
        make: its bytes, given a shell command that writes the marker file.
        said: what the one error must say (a regular expression), or None for a file that must open.
        read: the reader that gets it.
    """

    kind: str
    make: Bytes
    said: str | None
    read: Callable[[Path], Any] = load_generator
