"""Training a generator and its inverter as an autoencoder of portraits, on one processor.

    pie train generator dataset=FOLDER heldout=FOLDER out=generator.safetensors seconds=5400

The inverter maps a portrait to w, the synthesis network maps w (with a little noise, the same for every layer) back to
the portrait. Resolution grows from a quarter over a half to the whole. At the end the basis of w is whitened and the
mapping network is fitted, see `prior`. Beside the weights: the inverter, the curve (CSV), a sheet of pictures, and the
state from which `resume=true` continues.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_framework.api import FaceEncoder, FaceModel, FeatureNetwork
from pie_framework.errors import ConfigError
from pie_framework.files.io import save_png
from pie_training.augment import to_unit_range
from pie_training.fit import fit
from pie_training.readers import PortraitReader, open_readers
from pie_training.recipe import Notes, Progress, TrainingRecipe

from .inverter import Inverter, InverterConfig
from .io import save_generator, save_inverter
from .memory import keep_freed_memory
from .prior import fit_mapping, whiten
from .reading import reading_loss
from .reconstruction import psnr, pyramid_loss, region_weight_map
from .settings import GeneratorTraining, InverterTraining
from .sheet import sheet
from .stylegan2 import StyleGAN2, StyleGAN2Config, SynthesisBlock

WARM_UP_STEPS = 100
REFRESH_EVERY = 200
HELDOUT_COUNT = 200
COLOUR_START = 0.1
FINE_LABELS = (5, 7)


#: The face encoder and the face model that places its landmarks.
Readers = tuple[FaceEncoder, FaceModel]


class Autoencoder(nn.Module):
    """The inverter and the generator, trained together."""

    def __init__(self, settings: GeneratorTraining) -> None:
        super().__init__()
        dtype = torch.bfloat16 if settings.bf16 else None
        self.generator = StyleGAN2(
            StyleGAN2Config(
                resolution=settings.resolution,
                latent_dim=settings.latent_dim,
                prior_dim=settings.latent_dim,
                channels=settings.channels,
                mapping_layers=settings.mapping_layers,
            ),
            compute_dtype=dtype,
        )
        self.inverter = Inverter(
            InverterConfig(settings.resolution, settings.latent_dim, settings.inverter_channels),
            compute_dtype=dtype,
        )
        with torch.no_grad():
            for block in self.generator.blocks:
                assert isinstance(block, SynthesisBlock) and block.torgb is not None
                block.torgb.weight.mul_(COLOUR_START)

    def trained_parameters(self) -> list[nn.Parameter]:
        """All but the mapping network and the noise strengths."""
        return [
            p
            for name, p in self.named_parameters()
            if not name.startswith("generator.mapping") and not name.endswith("noise_strength")
        ]


def stage_resolution(settings: GeneratorTraining, progress: float) -> int:
    """Side of the images in pixels at this share of the budget; progress in [0, 1]."""
    if progress < settings.coarse_share:
        return max(8, settings.resolution // 4)
    if progress < settings.coarse_share + settings.middle_share:
        return max(8, settings.resolution // 2)
    return settings.resolution


def learning_rate_factor(progress: float, step: int) -> float:
    """Warm-up over the first 100 steps, then a cosine to zero; progress in [0, 1]."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def to_images(pixels: Any) -> Tensor:
    """(n, S, S, 3) uint8 -> (n, 3, S, S) float32 in [-1, 1]."""
    return to_unit_range(pixels).contiguous()


def draw_batch(
    reader: PortraitReader, settings: GeneratorTraining | InverterTraining, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images (B, 3, R, R) in [-1, 1] and pixel weights (B, 1, R, R), each flipped left-right with probability 1/2."""
    rows = torch.randint(len(reader), (settings.batch,), generator=rng).numpy()
    images = to_images(reader.images(rows))
    weight = region_weight_map(torch.from_numpy(reader.regions(rows)), settings.region_weights)
    flip = (torch.rand(settings.batch, generator=rng) < 0.5)[:, None, None, None]
    return torch.where(flip, images.flip(3), images), torch.where(flip, weight.flip(3), weight)


def reduce_to(x: Tensor, size: int) -> Tensor:
    """Box-filter x (B, C, S, S) down to `size` pixels."""
    factor = x.shape[-1] // size
    return F.avg_pool2d(x, factor) if factor > 1 else x


def training_loss(
    model: Autoencoder,
    images: Tensor,
    weight: Tensor,
    settings: GeneratorTraining,
    progress: float,
    rng: torch.Generator,
    phi: FeatureNetwork | None = None,
    readers: Readers | None = None,
) -> Tensor:
    """The reconstruction loss of one batch plus the bound on the codes; a scalar."""
    size = stage_resolution(settings, progress)
    w = model.inverter(images)
    noisy = w + settings.latent_noise * torch.randn(w.shape, generator=rng)
    made = model.generator.synthesize_pyramid(
        model.generator.broadcast(noisy), up_to=size, noise_mode="none"
    )[-1]
    sharp = progress >= 1 - settings.sharp_share and size == settings.resolution
    loss = pyramid_loss(
        made,
        reduce_to(images, size),
        reduce_to(weight, size),
        sharpness=settings.sharpness if sharp else 1.0,
        texture=settings.texture if sharp else 0.0,
    )
    if phi is not None and settings.perceptual > 0 and size == settings.resolution:
        loss = loss + settings.perceptual * perceptual_loss(phi, made, images)
    if readers is not None and settings.reading > 0 and size == settings.resolution:
        loss = loss + settings.reading * reading_loss(*readers, made, images)
    return loss + F.relu(w.square().mean() - 1.0)


@torch.no_grad()
def evaluate(
    model: Autoencoder, heldout: PortraitReader, settings: GeneratorTraining, size: int
) -> dict[str, float]:
    """Mean held-out PSNR in dB at each trained resolution, and over the pixels of eyes and mouth at the finest."""
    count = min(HELDOUT_COUNT, len(heldout))
    sums: dict[str, float] = {}
    for begin in range(0, count, 20):
        rows = list(range(begin, min(begin + 20, count)))
        images = to_images(heldout.images(rows))
        latent = model.generator.broadcast(model.inverter(images))
        for made in model.generator.synthesize_pyramid(latent, up_to=size, noise_mode="none"):
            side = made.shape[-1]
            target = reduce_to(images, side)
            if side * 4 >= settings.resolution and side >= 8:
                key = f"psnr_{side}"
                sums[key] = sums.get(key, 0.0) + float(psnr(made, target).sum())
        fine = torch.isin(torch.from_numpy(heldout.regions(rows)), torch.tensor(FINE_LABELS))[:, None].float()
        share = reduce_to(fine, size)
        error = (share * (made.clamp(-1, 1) - target).square()).sum() / (3 * share.sum().clamp_min(1e-6))
        sums["mse_fine"] = sums.get("mse_fine", 0.0) + float(error) * len(rows)
    figures = {name: total / count for name, total in sums.items() if name.startswith("psnr")}
    figures["psnr_eyes_mouth"] = 10 * math.log10(4.0 / max(sums["mse_fine"] / count, 1e-12))
    return figures


def perceptual_loss(phi: FeatureNetwork, image: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of Φ's features, averaged over its layers; a scalar.

    Args:
        phi: frozen; its feature maps are compared as they come.
        image, target: (B, 3, S, S) in [-1, 1]; the target carries no gradient.
    """
    with torch.autocast(image.device.type, torch.bfloat16):
        with torch.no_grad():
            wanted = phi.features(target)
        found = phi.features(image)
    distances = [(found[name].float() - wanted[name].float()).square().mean() for name in found]
    return torch.stack(distances).mean()


class GeneratorRecipe(TrainingRecipe):
    """What the engine trains.

    Args:
        settings: of the recipe.
        dataset, heldout: portraits to train on, and portraits of other persons for the curve.
        phi: Φ, frozen; without it the loss compares no features.
        readers: face encoder and face model, frozen; without them the loss does not compare what is read.

    Raises:
        ConfigError: there are no portraits, or they have another size than the generator.
    """

    def __init__(
        self,
        settings: GeneratorTraining,
        dataset: PortraitReader,
        heldout: PortraitReader,
        phi: FeatureNetwork | None = None,
        readers: Readers | None = None,
    ) -> None:
        if not len(dataset) or not len(heldout):
            raise ConfigError("the dataset and the held-out portraits must not be empty")
        side = dataset.images([0]).shape[1]
        if side != settings.resolution:
            raise ConfigError(
                f"the portraits are {side} pixels wide, the generator {settings.resolution}",
                f"Set resolution={side}.",
            )
        self.settings, self.dataset, self.heldout = settings, dataset, heldout
        self.phi, self.readers = phi, readers
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model = Autoencoder(settings)
        self.modules = {"network": self.model}
        self.optimizer = torch.optim.Adam(
            self.model.trained_parameters(), settings.learning_rate, betas=(0.0, 0.99), eps=1e-8, fused=True
        )
        #: Share of the budget at the last step.
        self.fraction = 1.0

    def learning_rate(self, progress: Progress) -> float:
        return self.settings.learning_rate * learning_rate_factor(progress.fraction, progress.step)

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        if progress.step % REFRESH_EVERY == 0 and hasattr(self.dataset, "refresh"):
            self.dataset.refresh()
        self.fraction = progress.fraction
        images, weight = draw_batch(self.dataset, self.settings, self.rng)
        yield training_loss(
            self.model, images, weight, self.settings, self.fraction, self.rng, self.phi, self.readers
        )

    def measure(self) -> Mapping[str, float]:
        size = stage_resolution(self.settings, self.fraction)
        figures = evaluate(self.model, self.heldout, self.settings, size)
        return {"size": size, "portraits": len(self.dataset), **figures}

    def save(self, figures: Mapping[str, float]) -> None:
        """The generator, the inverter, and the sheet of pictures."""
        size = stage_resolution(self.settings, self.fraction)
        write(self.model, self.settings, self.heldout, {"figures": dict(figures)}, size)


def write(
    model: Autoencoder,
    settings: GeneratorTraining,
    heldout: PortraitReader,
    notes: Mapping[str, Any],
    size: int,
    prior: Tensor | None = None,
) -> None:
    """Write the generator, the inverter and the sheet; `size` and `prior` as of `sheet`."""
    save_generator(model.generator, settings.out, notes=notes)
    save_inverter(model.inverter, settings.beside(".inverter.safetensors"), notes=notes)
    rows = range(min(HELDOUT_COUNT, len(heldout)))
    save_png(
        settings.beside(".sheet.png"), sheet(model.generator, model.inverter, heldout, rows, size, prior)
    )


@torch.no_grad()
def collect_codes(inverter: Inverter, reader: PortraitReader, count: int, rng: torch.Generator) -> Tensor:
    """The codes (N, D) of `count` different portraits, or of all if there are fewer; each flipped with chance 1/2."""
    rows = torch.randperm(len(reader), generator=rng)[:count]
    codes = []
    for part in torch.split(rows, 50):
        images = to_images(reader.images(part.numpy()))
        flip = (torch.rand(len(part), generator=rng) < 0.5)[:, None, None, None]
        codes.append(inverter(torch.where(flip, images.flip(3), images)))
    return torch.cat(codes)


def finish(
    model: Autoencoder,
    settings: GeneratorTraining,
    dataset: PortraitReader,
    heldout: PortraitReader,
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Whiten w, fit the mapping network, and write the generator and the inverter for use; returns the figures."""
    rng = torch.Generator().manual_seed(settings.seed + 1)
    codes = collect_codes(model.inverter, dataset, settings.codes, rng)
    codes = codes + settings.latent_noise * torch.randn(codes.shape, generator=rng)
    codes = whiten(model.generator, model.inverter, codes)
    figures = fit_mapping(model.generator, codes, rng, seconds=settings.mapping_seconds, report=report)
    figures.update(evaluate(model, heldout, settings, settings.resolution))
    notes = {"figures": figures, "settings": {"seconds": settings.seconds, "steps": settings.steps}}
    prior = model.generator.sample(6, torch.Generator().manual_seed(settings.seed))
    write(model, settings, heldout, notes, settings.resolution, prior)
    report("finished: " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    return figures


def train_generator(
    settings: GeneratorTraining,
    dataset: PortraitReader | None = None,
    heldout: PortraitReader | None = None,
    report: Callable[[str], None] = print,
    phi: FeatureNetwork | None = None,
    readers: Readers | None = None,
) -> dict[str, float]:
    """The whole recipe; returns the held-out figures and those of the mapping network.

    Args:
        settings: of the recipe.
        dataset, heldout: portraits; opened by `settings.reader` where not given.
        report: gets a line at every evaluation.
        phi: Φ, frozen; needed when `settings.perceptual` is above 0.
        readers: face encoder and face model, frozen; needed when `settings.reading` is above 0.

    Raises:
        ConfigError: Φ or the readers are needed and not given.
    """
    if phi is None and settings.perceptual > 0:
        raise ConfigError(
            "the generator's recipe compares features of Φ, and there is none",
            "Train it first (pie train perceptual), or set perceptual=0.",
        )
    if readers is None and settings.reading > 0:
        raise ConfigError(
            "the generator's recipe compares what the face encoder reads, and there is none",
            "Train it first (pie train encoder), or set reading=0.",
        )
    keep_freed_memory()
    if dataset is None or heldout is None:
        dataset, heldout = open_readers(settings)
    recipe = GeneratorRecipe(settings, dataset, heldout, phi, readers)
    fit(recipe, settings, report, ema=settings.ema_halflife, clip=0.0)
    return finish(recipe.model.requires_grad_(False), settings, dataset, heldout, report)
