"""What weight files say of themselves in their headers: layouts of θ and sizes of latents. No tensor is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: A header longer than this is not read, bytes.
LONGEST = 64 << 20
#: Sizes of latents and images that files which work together have to share.
SIZES = ("resolution", "latent_dim", "num_layers")


@dataclass(frozen=True)
class Header:
    """What a safetensors file of this package says.

    Attributes:
        layout: blocks of θ as (name, size, names), or None when it is not about θ.
        sizes: those of SIZES that it states, and `num_layers` where the resolution implies it.
        channels: feature channels at 4, 8, ... pixels, or none.
        parameters: number of values of all tensors.
    """

    layout: tuple[tuple[str, int, tuple[str, ...]], ...] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    channels: tuple[int, ...] = ()
    parameters: int = 0


def read(path: Path) -> Header | None:
    """The header of a safetensors file; None for files of other formats, and for headers that make no sense."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(LONGEST, path.stat().st_size):
                return None
            header = json.loads(stream.read(length))
        metadata = header.pop("__metadata__", {})
        count = sum(_count(tensor["shape"]) for tensor in header.values())
        said = _architecture(metadata)
        channels = said.get("channels")
        widths = tuple(map(int, channels)) if isinstance(channels, list) else ()
        return Header(_layout(said.get("layout")), _sizes(said), widths, count)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _count(shape: Sequence[int]) -> int:
    count = 1
    for side in shape:
        count *= int(side)
    return count


def _architecture(metadata: Mapping[str, str]) -> dict[str, Any]:
    if "pie" in metadata:
        said = json.loads(metadata["pie"])["config"]
    elif "architecture" in metadata:
        said = json.loads(metadata["architecture"])
    else:
        return {}
    return said if isinstance(said, dict) else {}


def _layout(blocks: Any) -> tuple[tuple[str, int, tuple[str, ...]], ...] | None:
    if not isinstance(blocks, list):
        return None
    return tuple((str(b["name"]), int(b["size"]), tuple(map(str, b.get("names") or ()))) for b in blocks)


def _sizes(said: Mapping[str, Any]) -> dict[str, int]:
    sizes = {key: value for key in SIZES if isinstance(value := said.get(key), int)}
    side = sizes.get("resolution", 0)
    if side >= 4 and side & (side - 1) == 0:
        sizes.setdefault("num_layers", 2 * (side.bit_length() - 1) - 2)  # two for each of 4, 8, ..., R
    return sizes


def compare(headers: Mapping[str, Header]) -> list[tuple[str, str, str]]:
    """What does not fit: (role, other role, in words) for each pair that contradicts the first of its kind."""
    found: list[tuple[str, str, str]] = []
    first: tuple[str, Header] | None = None
    for role, header in headers.items():
        if header.layout is None:
            continue
        if first is None:
            first = (role, header)
        elif header.layout != first[1].layout:
            found.append((role, first[0], _difference(first[1].layout or (), header.layout)))
    generator = headers.get("generator")
    for role, header in headers.items():
        if generator is None or role == "generator":
            continue
        for key, value in header.sizes.items():
            if key in generator.sizes and generator.sizes[key] != value:
                text = f"its {key} is {value}, the generator's {generator.sizes[key]}"
                found.append((role, "generator", text))
    return found


def _difference(
    ours: Sequence[tuple[str, int, tuple[str, ...]]], theirs: Sequence[tuple[str, int, tuple[str, ...]]]
) -> str:
    if [b[0] for b in ours] != [b[0] for b in theirs]:
        return f"its blocks are {', '.join(b[0] for b in theirs)}, not {', '.join(b[0] for b in ours)}"
    for (name, size, _), (_, other, _) in zip(ours, theirs, strict=True):
        if size != other:
            return f"its block '{name}' has {other} coefficients, not {size}"
    return "its coefficients have other names"
