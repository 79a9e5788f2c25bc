"""Training as published: the generator's samples, photometric loss, landmarks and priors, no label (MoFA, §5).

Added here: the network starts from the mean face put where the samples show faces, under light of their brightness; the
images that it sees are disturbed, those that it is compared with are not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import FaceModel, Generator, LandmarkDetector, Mirrors, photometric_loss
from pie_framework.api.identity import generator_identity
from pie_framework.errors import ConfigError
from pie_mofa.calibration import calibrate, mean_light
from pie_mofa.data import Portraits, blur, disturb
from pie_mofa.losses import rendered_loss, sample_losses
from pie_mofa.measure import measure
from pie_mofa.recipe import EncoderRecipe
from pie_mofa.samples import SamplePool, as_images, make_samples
from pie_mofa.settings import TrainEncoderConfig
from pie_training.augment import MIRRORED_LANDMARKS, mirror
from pie_training.recipe import Notes, Progress
from pie_training.sheets import GREEN, RED, grid, with_points

if TYPE_CHECKING:
    from accelerate import Accelerator

#: Samples that the calibration looks at, and the side that pixel errors refer to.
CALIBRATION, REFERENCE_SIDE = 64, 128
SHEET_ROWS = 6
#: Pixels of a side of 128 beyond which the mean of detected landmarks is no face.
STRANGE = 6.0


class SampleRecipe(EncoderRecipe):
    """See the module.

    Args:
        config: settings.
        face_model: the fixed decoder.
        generator: whose samples are trained on.
        detector: finds their landmarks, as many as the face model has.
        heldout: labelled portraits to measure by, too.
        accelerator: device, processes and precision.
        dtype: of the weights.
        report: called with a line of progress.
    """

    def __init__(
        self,
        config: TrainEncoderConfig,
        face_model: FaceModel,
        generator: Generator,
        detector: LandmarkDetector,
        heldout: Portraits | None,
        accelerator: Accelerator,
        dtype: torch.dtype = torch.float32,
        report: Callable[[str], None] = print,
    ) -> None:
        if detector.num_landmarks != face_model.num_landmarks:
            raise ConfigError(
                f"the detector finds {detector.num_landmarks} landmarks, the face model has {face_model.num_landmarks}",
                "Choose landmarks that fit the face model.",
            )
        self.portraits, self.generator, self.detector, self.report = heldout, generator, detector, report
        given, size = config.samples, config.architecture.input_size
        theta = mean_light(face_model.layout, generator.mean_latent())
        super().__init__(config, face_model, theta, torch.ones_like(theta), accelerator, dtype)
        share = -(-given.pool // accelerator.num_processes)
        seed = config.seed + 104_729 * (accelerator.process_index + 1)
        self.pool = SamplePool(generator, detector, share, seed, size, given.truncation)
        self.validation = "landmark_px"
        self.mirrors = (
            config.augmentation.flip
            and isinstance(face_model, Mirrors)
            and face_model.mirror_theta is not None
            and face_model.num_landmarks == len(MIRRORED_LANDMARKS)
        )

    def prepare(self, resumed: bool) -> None:
        """Make held-out samples and the pool, and find where to start from; a resumed pool is made by its state."""
        config = self.config
        rng = torch.Generator().manual_seed(config.heldout_seed)
        self.held, self.held_points = make_samples(
            self.generator,
            self.detector,
            config.portraits_measured,
            rng,
            config.architecture.input_size,
            config.samples.truncation,
        )
        if resumed:
            return
        self.pool.go_to(self.pool.slots)
        self.report(f"{len(self.pool)} samples made")
        points = self.pool.points[:CALIBRATION]
        images = as_images(self.pool.images[:CALIBRATION], points)
        mean, scale = calibrate(self.face_model, images, points, config.samples.scales, config.render_size)
        self.encoder.set_statistics(mean, scale)
        apart = _apart(self.face_model, mean, self.pool.points)
        if apart > STRANGE:
            self.report(
                f"warning: the landmarks found in the samples are {apart:.0f} pixels (of {REFERENCE_SIDE}) from any "
                "pose of the mean face; does the detector know pictures like these? See landmarks=... of pie run"
            )
        baseline = self._errors(self.encoder.mean.expand(len(self.held), -1))
        self.report("the mean face: " + "  ".join(f"{name} {value:.4g}" for name, value in baseline.items()))
        self.notes = {"mean_face": baseline, "generator": generator_identity(self.generator)}

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        config, given = self.config, self.config.samples
        if given.refresh_every and progress.step % given.refresh_every == given.refresh_every - 1:
            self.pool.refresh()
        images, points = self.pool.draw(config.batch, self.rng)
        if self.mirrors:
            which = (torch.rand(len(images), generator=self.rng) < 0.5).to(images.device)
            images, points = mirror(images, points * images.shape[-1], which)
            points = points / images.shape[-1]
        seen = disturb(blur(images, config.augmentation, self.rng), config.augmentation, self.rng)
        with self.accelerator.autocast():
            theta = self.encoder.encode(seen)
        losses = sample_losses(theta, points, self.face_model, self.encoder.mean, self.encoder.scale)
        if self.renders(progress):
            n = config.rendering[1]
            losses["photometric"] = rendered_loss(images[:n], theta[:n], self.face_model, config.render_size)
        weights = {k: v for k, v in dataclasses.asdict(given).items() if k in losses}
        yield self.total(losses, weights, notes)

    @torch.no_grad()
    def _errors(self, theta: Tensor) -> dict[str, float]:
        """Of held-out samples: landmarks in pixels of a side of 128, and the photometric loss; means."""
        size = self.config.render_size
        points, colours = [], []
        for rows in torch.split(torch.arange(len(theta)), 16):
            found = self.face_model.landmarks(theta[rows], REFERENCE_SIDE)
            wanted = self.held_points[rows].to(found) * REFERENCE_SIDE
            points.append((found - wanted).norm(dim=-1).mean(dim=1))
            image = as_images(self.held[rows], theta)
            image = functional.interpolate(image, (size, size), mode="area")
            seen = self.face_model.render(theta[rows], size)
            colours.append(photometric_loss(image, seen.image, seen.mask))
        return {
            "landmark_px": float(torch.cat(points).mean()),
            "photometric_heldout": float(torch.cat(colours).mean()),
        }

    def _read(self, images: Tensor) -> Tensor:
        parts = torch.split(images, 32)
        with self.accelerator.autocast():
            return torch.cat([self.encoder.encode(as_images(part, self.encoder.mean)) for part in parts])

    def measure(self) -> Mapping[str, float]:
        figures = self._errors(self._read(self.held))
        if self.portraits is not None:
            with self.accelerator.autocast():
                truth = measure(self.encoder, self.portraits, self.face_model, self.accelerator.device)
            figures |= {f"true_{name}": value for name, value in truth.items()}
        return figures

    def sheet(self) -> Tensor:
        """Rows of held-out samples: the sample, the model over it, landmarks found (green) and of the model (red)."""
        pixels = self.held[:SHEET_ROWS]
        theta = self._read(pixels)
        images = as_images(pixels, theta)
        side = images.shape[-1]
        seen = self.face_model.render(theta, side)
        over = seen.mask * seen.image + (1 - seen.mask) * images
        marked = with_points(images, self.held_points[:SHEET_ROWS] * side, GREEN)
        return grid([images, over, with_points(marked, self.face_model.landmarks(theta, side), RED)])

    def state_dict(self) -> dict[str, Any]:
        return {"made": self.pool.made, "notes": self.notes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.pool.go_to(int(state["made"]))
        self.notes = dict(state["notes"])


@torch.no_grad()
def _apart(face_model: FaceModel, theta: Tensor, points: Tensor) -> float:
    """Mean distance of θ's landmarks (P,) to the mean of points (N, K, 2), in pixels of a side of 128."""
    found = face_model.landmarks(theta[None], REFERENCE_SIDE)[0]
    return float((found - REFERENCE_SIDE * points.mean(dim=0)).norm(dim=-1).mean())
