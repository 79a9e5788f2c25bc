"""Making what rigs are trained on: the pool, the held-out latents, the true edits and the photometric metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel, Generator, Inverter
from pie_framework.errors import RunError
from pie_stylerig.losses import photometric_metric
from pie_stylerig.pairs import Edits, read_edits
from pie_stylerig.pool import draw_latents, observe
from pie_stylerig.settings import TrainRigConfig
from pie_training.processes import share
from pie_training.readers import open_reader
from pie_training.state import load_state, save_state

if TYPE_CHECKING:
    from accelerate import Accelerator
    from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Observed:
    """N latents with what their images show.

    Attributes:
        latents: w.
        images: G(w).
        theta: as the face encoder reads them.
        metric: the photometric metric.
        edits: true edits, if there are any.
    """

    latents: Float[Tensor, "N L D"]
    images: UInt8[Tensor, "N 3 s s"]
    theta: Float[Tensor, "N P"]
    metric: Float[Tensor, "P P"]
    edits: Edits | None


class SampleMaker:
    """Makes the samples of one process.

    Args:
        config: settings.
        generator, encoder, face_model: of the rigs.
        inverter: finds the latents of true edits.
        accelerator: device and processes; each has its share of the pool.
        report: called with a line of progress.
    """

    def __init__(
        self,
        config: TrainRigConfig,
        generator: Generator,
        encoder: FaceEncoder,
        face_model: FaceModel,
        inverter: Inverter | None,
        accelerator: Accelerator,
        report: Callable[[str], None],
    ) -> None:
        self.config, self.generator, self.encoder = config, generator, encoder
        self.face_model, self.inverter = face_model, inverter
        self.accelerator, self.report = accelerator, report
        self.count = max(32, -(-config.pool // accelerator.num_processes))

    def _draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "{n} L D"]:
        return draw_latents(self.generator, n, self.config.spread, self.config.offset, rng)

    def _observe(
        self, latents: Float[Tensor, "N L D"], report: Callable[[str], None] | None = None
    ) -> tuple[Float[Tensor, "N L D"], UInt8[Tensor, "N 3 s s"], Float[Tensor, "N P"]]:
        return latents, *observe(
            self.generator, self.encoder, latents, self.config.render_size, report=report
        )

    def heldout(self) -> tuple[Float[Tensor, "N L D"], UInt8[Tensor, "N 3 s s"], Float[Tensor, "N P"]]:
        """Latents that nothing is trained on, from a seed of their own; images and coefficients as in `Observed`."""
        rng = torch.Generator().manual_seed(self.config.heldout_seed)
        return self._observe(self._draw(self.config.measure_latents, rng))

    def make(self, rng: torch.Generator, resumed: bool) -> Observed:
        """The pool: latents of the prior and, after them in random order, those of the true edits.

        A single process keeps it in `pool.pt`, from which it is read when training is resumed; of several, each makes
        its own again.
        """
        path = Path(self.config.output) / "pool.pt"
        alone = self.accelerator.num_processes == 1
        if resumed and alone and path.exists():
            return self._read(path, rng)
        latents, images, theta = self._observe(self._draw(self.count, rng), self.report)
        edits = None
        if self.config.pairs:
            edits = self._edits(rng)
            order = edits.held + torch.randperm(len(edits) - edits.held, generator=rng)
            latents = torch.cat([latents, edits.latents[order]])
            images, theta = torch.cat([images, edits.images[order]]), torch.cat([theta, edits.theta[order]])
        metric = theta.new_zeros(theta.shape[1], theta.shape[1])
        if self.accelerator.is_main_process:
            size, chosen = self.config.render_size, theta[: self.config.metric_samples]
            metric = photometric_metric(self.face_model, chosen, theta.std(0).clamp_min(1e-4), size)
        share(self.accelerator, [metric])
        found = Observed(latents, images, theta, metric, edits)
        if alone:
            state = {**found.__dict__, "edits": edits.state_dict() if edits else None, "rng": rng.get_state()}
            save_state(path, state)
        return found

    def _read(self, path: Path, rng: torch.Generator) -> Observed:
        kept = load_state(path)
        like = self.generator.mean_latent()
        try:
            rng.set_state(kept["rng"])
            return Observed(
                kept["latents"].to(like),
                kept["images"].to(like.device),
                kept["theta"].to(like),
                kept["metric"].to(like),
                Edits.from_state(kept["edits"], like) if kept["edits"] else None,
            )
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise RunError(
                f"{path} is not a pool of samples: {error}", "Delete it to start again."
            ) from error

    def _edits(self, rng: torch.Generator) -> Edits:
        config = self.config
        assert self.inverter is not None
        edits = read_edits(
            open_reader(config.reader, config.pairs),
            config.blocks,
            self.generator,
            self.encoder,
            self.inverter,
            config.pair_count,
            config.measure_latents,
            config.spread,
            config.offset,
            config.render_size,
            rng,
        )
        self.report(f"{len(edits)} portraits with true edits observed")
        return edits
