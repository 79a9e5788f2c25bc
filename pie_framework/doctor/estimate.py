"""How much memory a run will need, roughly: from sizes of files and of the generator's images, loading nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pie_framework.assets.uses import Use
from pie_framework.config import RunConfig
from pie_framework.doctor.headers import Header

#: Bytes of a value in each dtype.
BYTES = {"float32": 4, "float64": 8}
#: What Python, torch and its libraries take, bytes.
BASE = 0.6e9
#: Feature maps that the backward pass of a generator keeps, in maps of the size of each convolution's output.
KEPT = 4.0
#: Of the file of a foreign checkpoint, the share that is the network in use (NVIDIA's pickles hold G, D and G_ema).
SHARE = {".pkl": 0.35, ".pth": 1.0, ".pt": 0.5}
#: Images that a step of an energy draws with a gradient: the portrait's, and those of its terms.
IMAGES_OF_TERM = {"synthesis": 0, "identity": 1, "edit": 1, "invariance": 1, "recognition": 0}


@dataclass(frozen=True)
class Estimate:
    """An estimate of the peak, bytes.

    Attributes:
        weights: of all networks.
        activations: what one step keeps for its backward pass; None when the generator's size is not known.
        images: images drawn with a gradient in one step.
        resolution: of the generator, pixels; None when it is not known.
    """

    weights: float
    activations: float | None
    images: int
    resolution: int | None

    @property
    def total(self) -> float:
        return BASE + self.weights + (self.activations or 0.0)


def estimate(
    run: RunConfig, uses: Sequence[Use], headers: Mapping[str, Header], resolution: int | None = None
) -> Estimate:
    """The estimate for a run.

    Args:
        run: its configuration.
        uses: the files that it loads.
        headers: of those files that have one, by role.
        resolution: of the generator, where it is known; else it is looked for in its header, name and address.
    """
    width = BYTES[run.dtype]
    weights = 0.0
    for use in uses:
        if use.path is None or use.size is None:
            continue
        header = headers.get(use.role)
        if header is not None and header.parameters:
            weights += width * header.parameters
        else:
            weights += use.size * SHARE.get(use.path.suffix.lower(), 1.0) * width / 4
    generator = next((use for use in uses if use.role == "generator"), None)
    resolution = resolution or _resolution(generator, headers.get("generator"))
    portraits = len(run.input) if isinstance(run.input, list) else 1
    drawn = sum(IMAGES_OF_TERM.get(term.term, 0) for term in run.terms.values() if term.active)
    images = portraits * (1 + drawn * max(1, run.prior.blocks_per_step))
    own = headers.get("generator")
    channels = own.channels if own is not None else ()
    activations = None if resolution is None else images * width * KEPT * _maps(resolution, channels)
    return Estimate(weights, activations, images, resolution)


def _resolution(generator: Use | None, header: Header | None) -> int | None:
    if header is not None and "resolution" in header.sizes:
        return header.sizes["resolution"]
    if generator is None:
        return None
    named = re.findall(r"(?<!\d)(128|256|512|1024)(?!\d)", f"{generator.entry} {generator.uri}")
    return int(named[0]) if named else None


def _maps(resolution: int, channels: Sequence[int] = ()) -> float:
    """Values of all convolutions' outputs for one image; StyleGAN2's config F where no channels are given."""
    total, side, level = 0.0, 4, 0
    while side <= resolution:
        width = channels[level] if level < len(channels) else min(32768 // side, 512)
        total += 2 * width * side * side
        side, level = 2 * side, level + 1
    return total
