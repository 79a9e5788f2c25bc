"""The contract of converters: from a foreign checkpoint to a safetensors file of the plugin that knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Conversion:
    """A foreign checkpoint that was read and checked, ready to be written.

    Attributes:
        format: which program's file it is.
        architecture: the network, in a few words.
        parameters: how many numbers it has, buffers included.
        dtype: of the numbers in the file.
        write: `write(path, half)` writes the safetensors file, completely or not at all; half stores float16.
        use: how the written file is chosen, such as "generator=stylegan2 generator.weights=".
        facts: anything else worth telling, in the order to show it.
    """

    format: str
    architecture: str
    parameters: int
    dtype: str
    write: Callable[[Path, bool], None]
    use: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


#: `converter(path, kind)`: the checkpoint, or None where the file is not one of the converter's. `kind` is what
#: the file is by its content, such as "pickle" or "torch-zip". Raises AssetError where the file is one of its own but
#: cannot be used.
Converter = Callable[[Path, str], "Conversion | None"]
