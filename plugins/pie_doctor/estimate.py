"""How much memory a run will need, roughly: from sizes of files and of the generator's images, loading nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pie_doctor.headers import Header
from pie_framework.composition.schema import RunConfig
from pie_framework.composition.uses import Chosen, Use

#: Bytes of a value in each dtype.
BYTES = {"float32": 4, "float64": 8}
#: What Python, torch and its libraries take, bytes.
BASE = 0.6e9
#: What the backward pass of a generator keeps for an image, in feature maps of the size of each convolution's output;
#: measured with `benchmarks/generators.py`. StyleGAN3 filters its maps at twice their size and more.
KEPT, KEPT_BY = 4.0, {"stylegan3": 14.0}
#: The share of it that is kept where a generator computes its blocks again for the gradient (checkpointing).
CHECKPOINTED = 0.25
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
    run: RunConfig,
    uses: Sequence[Use],
    headers: Mapping[str, Header],
    generator: Chosen | None = None,
    resolution: int | None = None,
) -> Estimate:
    """The estimate for a run.

    Args:
        run: its configuration.
        uses: the files that it loads.
        headers: of those files that have one, by role.
        generator: the component with its settings.
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
    own = headers.get("generator")
    loaded = next((use for use in uses if use.role == "generator"), None)
    resolution = resolution or _resolution(loaded, own)
    portraits = len(run.input) if isinstance(run.input, list) else 1
    drawn = sum(IMAGES_OF_TERM.get(term.term, 0) for term in run.terms.values() if term.active)
    images = portraits * (1 + drawn * max(1, run.prior.blocks_per_step))
    if resolution is None:
        return Estimate(weights, None, images, None)
    settings: Mapping[str, object] = {} if generator is None else generator.settings
    kept = KEPT if generator is None else KEPT_BY.get(generator.component.name, KEPT)
    value = {"bfloat16": 2, "float32": 4}.get(str(settings.get("features")), width)
    one = value * kept * _maps(resolution, own.channels if own is not None else ())
    again = bool(settings.get("checkpointing"))
    return Estimate(weights, one * (1 + CHECKPOINTED * images) if again else one * images, images, resolution)


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
