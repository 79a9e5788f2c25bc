"""Reads foreign files as data: pickles, torch files, safetensors. Nothing of a file is ever imported or run.

Checkpoints come from the network and a pickle can ask for any function of Python. The readers here rebuild tensors,
numbers, texts and containers, compare every announced size with the bytes there are, and refuse everything else with
one `UntrustedFileError`. PyTorch is imported when the first file is read.
"""

from .filling import build, fill
from .reading import read_any, read_safetensors
from .records import Allowed, Record, UntrustedFileError
from .source import PathLike, open_bytes, sniff

__all__ = [
    "Allowed",
    "PathLike",
    "Record",
    "UntrustedFileError",
    "build",
    "fill",
    "open_bytes",
    "read_any",
    "read_safetensors",
    "sniff",
]
