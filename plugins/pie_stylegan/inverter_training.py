"""Training the inverter to give every layer a latent of its own, with the generator frozen.

    pie train inverter start=generator.inverter.safetensors generator=generator.safetensors \\
        dataset=FOLDER heldout=FOLDER out=inverter.safetensors seconds=600

`start` is the inverter that was trained together with the generator: its w is kept, and offsets for each layer are
learned from its features. They are kept small, because edits are known best where all layers have the same latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pie_framework.api import FeatureNetwork, RecognitionNetwork
from pie_framework.errors import ConfigError
from pie_framework.images.metrics import ssim
from pie_training.fit import fit
from pie_training.readers import PortraitReader, open_readers
from pie_training.recipe import settings_as_notes

from .inverter import Inverter, InverterConfig
from .io import load_inverter, save_inverter
from .memory import keep_freed_memory
from .reconstruction import psnr, pyramid_loss, region_weight_map
from .settings import InverterTraining
from .stylegan2 import StyleGAN2
from .training import draw_batch, perceptual_loss, to_images

HELDOUT_COUNT = 96
CHUNK = 16
FOLDERS = ("dataset", "heldout", "out", "start", "generator")


class InverterRecipe:
    """What the training loop trains.

    Args:
        settings: how.
        generator: frozen.
        data: portraits to train on.
        heldout: portraits of persons not among them, for the curve.
        phi: Φ, frozen; needed when `settings.perceptual` is above 0.
        psi: Ψ, frozen; needed when `settings.identity` is above 0.

    Raises:
        ConfigError: Φ or Ψ is needed and not given, there are no portraits, or the portraits or the inverter to
            start from do not fit the generator.
    """

    def __init__(
        self,
        settings: InverterTraining,
        generator: StyleGAN2,
        data: PortraitReader,
        heldout: PortraitReader,
        phi: FeatureNetwork | None = None,
        psi: RecognitionNetwork | None = None,
    ) -> None:
        for weight, network, name in (
            (settings.perceptual, phi, "perceptual"),
            (settings.identity, psi, "identity"),
        ):
            if weight > 0 and network is None:
                raise ConfigError(f"the loss '{name}' needs a network that is not there", f"Set {name}=0.")
        if not len(data) or not len(heldout):
            raise ConfigError("the dataset and the held-out portraits must not be empty")
        side = data.images([0]).shape[1]
        if side != generator.resolution:
            raise ConfigError(
                f"the portraits are {side} pixels wide, the generator makes {generator.resolution}"
            )
        self.settings, self.generator, self.data, self.heldout = settings, generator, data, heldout
        self.phi, self.psi = phi, psi
        self.module = _inverter(settings, generator)
        self._mean = generator.mean_latent()

    def loss(self, rng: torch.Generator) -> Tensor:
        images, weight = draw_batch(self.data, self.settings, rng)
        w, offsets = self.module.parts(images)
        made = self.generator.synthesize(w[:, None] + offsets, noise_mode="none")
        return self._error(made, images, weight) + self.settings.offset_penalty * offsets.square().mean()

    def _error(self, made: Tensor, images: Tensor, weight: Tensor) -> Tensor:
        """What is minimised of the pictures; a scalar, mean over the batch."""
        settings = self.settings
        error = pyramid_loss(made, images, weight)
        if self.phi is not None and settings.perceptual > 0:
            error = error + settings.perceptual * perceptual_loss(self.phi, made, images)
        if self.psi is not None and settings.identity > 0:
            error = error + settings.identity * (1 - self._similarity(made, images)).mean()
        return error

    def _similarity(self, made: Tensor, images: Tensor) -> Tensor:
        """Ψ(made) · Ψ(images), (B,)."""
        assert self.psi is not None
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.settings.bf16):
            with torch.no_grad():
                wanted = self.psi.embed(images)
            found = self.psi.embed(made)
        return (found.float() * wanted.float()).sum(dim=1)

    def evaluate(self) -> Mapping[str, float]:
        """Means over held-out portraits, of w alone (`_w`) and with offsets: what is minimised (`error`), PSNR (dB) and
        SSIM; and `offset_size`, the length of an offset (root mean square over the layers) as a fraction of that
        of w - mean."""
        count = min(HELDOUT_COUNT, len(self.heldout))
        sums: dict[str, float] = {}
        for begin in range(0, count, CHUNK):
            rows = range(begin, min(begin + CHUNK, count))
            images = to_images(self.heldout.images(rows))
            weight = region_weight_map(
                torch.from_numpy(self.heldout.regions(rows)), self.settings.region_weights
            )
            w, offsets = self.module.parts(images)
            figures = {"offset_size": _length(offsets) / (w - self._mean).norm(dim=1)}
            for suffix, latent in (("_w", w[:, None].expand_as(offsets)), ("", w[:, None] + offsets)):
                made = self.generator.synthesize(latent, noise_mode="none")
                figures[f"error{suffix}"] = self._error(made, images, weight).expand(len(images))
                made = made.clamp(-1, 1)
                figures[f"psnr{suffix}"] = psnr(made, images)
                figures[f"ssim{suffix}"] = ssim(made, images)
                if self.psi is not None:
                    figures[f"identity{suffix}"] = self._similarity(made, images)
            for name, values in figures.items():
                sums[name] = sums.get(name, 0.0) + float(values.sum()) / count
        return sums

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        notes = {"figures": dict(figures), "settings": settings_as_notes(self.settings, FOLDERS)}
        save_inverter(self.module, path, notes=notes)


def _length(offsets: Tensor) -> Tensor:
    """Root mean square over the layers of the lengths of δ (B, L, D), (B,)."""
    return offsets.square().sum(dim=2).mean(dim=1).sqrt()


def _inverter(settings: InverterTraining, generator: StyleGAN2) -> Inverter:
    """The network to train: the trunk of `settings.start` with a new head for the offsets."""
    dtype = torch.bfloat16 if settings.bf16 else None
    begun = load_inverter(settings.start) if settings.start else None
    config = InverterConfig(generator.resolution, generator.latent_dim, settings.channels)
    if begun is not None:
        if (begun.resolution, begun.latent_dim) != (generator.resolution, generator.latent_dim):
            raise ConfigError(
                f"'{settings.start}' is for images of {begun.resolution} pixels and {begun.latent_dim} latent "
                f"dimensions, the generator has {generator.resolution} and {generator.latent_dim}"
            )
        config = begun.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        inverter = Inverter(replace(config, rank=settings.rank, mixed=settings.mixed), compute_dtype=dtype)
    if begun is not None:
        trunk = {k: v for k, v in begun.state_dict().items() if not k.startswith("offsets.")}
        inverter.load_state_dict(trunk, strict=False)
    for parameter in inverter.trunk_parameters():
        parameter.requires_grad_(begun is None or settings.train_trunk)
    return inverter


def train_inverter(
    settings: InverterTraining,
    generator: StyleGAN2,
    report: Callable[[str], None] = print,
    phi: FeatureNetwork | None = None,
    psi: RecognitionNetwork | None = None,
    dataset: PortraitReader | None = None,
    heldout: PortraitReader | None = None,
) -> list[dict[str, float]]:
    """The whole recipe; returns the curve's rows.

    Args:
        settings: of the recipe.
        generator: frozen.
        report: gets a line at every evaluation.
        phi, psi: Φ and Ψ, frozen, where their losses have weight.
        dataset, heldout: portraits; opened by `settings.reader` where not given.
    """
    keep_freed_memory()
    if dataset is None or heldout is None:
        dataset, heldout = open_readers(settings)
    return fit(InverterRecipe(settings, generator, dataset, heldout, phi, psi), settings, report)
