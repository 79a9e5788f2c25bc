"""What trains rig networks on the generator's own samples, without labels (StyleRig, §4).

Published: losses and networks; 200 000 latents, F a perceptron on the latent. Added here, to be done in minutes:

- all blocks share one pool of latents whose coefficients the face encoder has read once;
- F on the latent learns from those answers, and again and again from the answers for rigged latents, so that it is
  right where the rigs go;
- F on the latent only starts the rigs: learnt from few latents it is wrong about the finer blocks. From
  `image_from` on they follow generator and face encoder themselves, with F as a control variate if asked for;
- where portraits with true edits are at hand (`pairs`), the rigs start by learning the latents of true edits, which
  takes no image, instead of from F; and later some steps compare what an edit changes in the picture with the truth.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel, Generator, Inverter, RecognitionNetwork, RigNetwork
from pie_framework.api.identity import generator_identity
from pie_framework.errors import ConfigError
from pie_stylerig.latent_coefficients import LatentCoefficients
from pie_stylerig.losses import Analysis, background_loss, latent_distance, rig_losses
from pie_stylerig.measure import measure_edits, measure_rig, rig_sheet
from pie_stylerig.network import RigNet
from pie_stylerig.pairs import Edits
from pie_stylerig.pool import Pool, at_once, from_bytes, observe, shrink, to_bytes
from pie_stylerig.samples import Observed, SampleMaker
from pie_stylerig.settings import TrainRigConfig
from pie_training.processes import agreed, average_gradients, share
from pie_training.processes import generator as rank_generator
from pie_training.recipe import Notes, Progress, TrainingRecipe, settings_as_notes

if TYPE_CHECKING:
    from accelerate import Accelerator
    from jaxtyping import Float, Int

Report = Callable[[str], None]
#: Samples that a rig's readout is fitted to; the regression's cost grows with their cube.
READOUT_SAMPLES = 3000


class RigRecipe(TrainingRecipe):
    """See the module.

    Args:
        config: settings.
        generator: G, frozen.
        encoder: MoFA, frozen.
        face_model: for ℓ.
        recognition: Ψ; without it that loss and measurement are left out.
        inverter: finds the latents of the portraits of `config.pairs`, if there are any.
        accelerator: device, processes and precision.
        report: called with a line of progress.

    Raises:
        ConfigError: pairs without an inverter, or the face model has none of the blocks.
    """

    validation = "missing"

    def __init__(
        self,
        config: TrainRigConfig,
        generator: Generator,
        encoder: FaceEncoder,
        face_model: FaceModel,
        recognition: RecognitionNetwork | None,
        inverter: Inverter | None,
        accelerator: Accelerator,
        report: Report,
    ) -> None:
        if config.pairs and inverter is None:
            raise ConfigError("pairs need an inverter", "Compose one, such as inverter=embedded.")
        layout = face_model.layout
        if encoder.layout != layout:
            raise ConfigError(
                "the face encoder was trained for another face model than the composed one",
                "Choose encoder.weights that were trained with it; 'pie train encoder' makes them.",
            )
        blocks = [b for b in config.blocks if b in layout.block_names and layout.block(b).size]
        if not blocks:
            raise ConfigError(
                f"the face model has none of the blocks {', '.join(config.blocks)}",
                f"It has {', '.join(layout.block_names)}.",
            )
        for block in config.blocks:
            if block not in blocks:
                report(f"the face model has no {block}: no rig for it")
        self.config = config = dataclasses.replace(config, blocks=tuple(blocks))
        self.generator, self.encoder, self.face_model = generator, encoder, face_model
        self.recognition, self.inverter = recognition, inverter
        self.accelerator, self.report = accelerator, report
        self.rng = rank_generator(accelerator, config.seed)
        self.samples = SampleMaker(config, generator, encoder, face_model, inverter, accelerator, report)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            sizes = (generator.num_layers, generator.latent_dim)
            self.rigs = {block: RigNet(layout, block, *sizes, config.architecture) for block in blocks}
            self.latent_coefficients = LatentCoefficients(layout, *sizes, config.mlp_hidden)
        for module in (*self.rigs.values(), self.latent_coefficients):
            module.to(generator.mean_latent())
        for rig in self.rigs.values():
            if rig.readout is not None:
                # Adam moves each of its thousands of weights alike, so that one step would undo its fit.
                rig.readout.requires_grad_(False)
        self.modules = self.rigs
        told = [f"{block}_{name}" for block in blocks for name in ("missing", "true_missing", "identity")]
        self.headline = ("loss", "missing", *told)
        make: Any = torch.optim.Adadelta if config.optimizer == "adadelta" else torch.optim.Adam
        trained = [p for rig in self.rigs.values() for p in rig.parameters() if p.requires_grad]
        self.optimizer = make(trained, config.learning_rate)
        mlp = self.latent_coefficients
        self.mlp_optimizer = torch.optim.AdamW(mlp.parameters(), 5e-4, weight_decay=0.05)
        mlp.requires_grad_(False)
        self.refreshed_at = 0

    @property
    def coefficients_used(self) -> bool:
        """Whether F on the latent stands for the image path somewhere."""
        return self.config.control_variate or (not self.config.pairs and self.config.image_from > 0)

    def _use(self, observed: Observed) -> None:
        """Take samples, and what is read off them."""
        config, layout = self.config, self.face_model.layout
        self.edits = observed.edits
        self.pool = Pool(observed.latents, observed.images, observed.theta, extra=len(observed.latents))
        for block, rig in self.rigs.items():
            asked = layout.get(observed.theta, block)
            if self.edits is not None:
                asked = torch.cat([asked, layout.get(self.edits.known[self.edits.held :], block)])
            rig.set_statistics(observed.latents, asked)
        self.latent_coefficients.set_statistics(observed.latents, observed.theta)
        share(self.accelerator, self.latent_coefficients.state_dict().values())
        scale = self.latent_coefficients.scale
        self.analysis = Analysis(self.face_model, observed.metric, scale, config.weights, config.render_size)
        self.unedited = {block: agreed(self.accelerator, self._unedited(block)) for block in config.blocks}

    def prepare(self, resumed: bool) -> None:
        """Observe the pool and the held-out latents; fit and teach what starts from them."""
        self.identity = generator_identity(self.generator)
        self.held = self.samples.heldout()
        self._use(self.samples.make(self.rng, resumed))
        if resumed:
            return
        latents, theta = self.pool.latents[: self.pool.fixed], self.pool.theta[: self.pool.fixed]
        for block, rig in self.rigs.items():
            if rig.readout is not None:
                rows = torch.randperm(len(latents), generator=self.rng)[:READOUT_SAMPLES]
                left = rig.fit_readout(latents[rows], self.face_model.layout.get(theta[rows], block))
                self.report(f"{block} read from latents: a linear map leaves {left:.3f} of the variance")
        if self.coefficients_used:
            left = self.latent_coefficients.fit_linear(latents, theta)
            self.report(f"coefficients from latents: a linear map leaves {left:.3f} of the variance")
            share(self.accelerator, self.latent_coefficients.state_dict().values())
            self._teach(self.config.mlp_steps)

    @torch.no_grad()
    def _unedited(self, block: str, n: int = 256) -> float:
        """The edit loss of a rig that changes nothing: the unit in which ℓ is weighted against the rest."""
        theta = self.pool.theta[: self.pool.fixed][:n]
        asked = theta.roll(-1, 0)
        loss = self.analysis.distance(self.face_model.layout.replace(asked, theta, block), asked)
        return max(float(loss), 1e-6)

    # ---- F on the latent -------------------------------------------------------------------------------------

    def _teach(self, steps: int) -> float:
        """Training steps of F on the pool, half of each batch from the ring; the last batch's error."""
        error, ring = 0.0, self.pool.fixed
        self.latent_coefficients.requires_grad_(True)
        for _ in range(steps):
            rows = self.pool.draw(self.config.batch, self.rng)
            if len(self.pool) > ring:
                rows = torch.cat([rows, self.pool.draw(self.config.batch, self.rng, ring)])
            loss = self.latent_coefficients.loss(self.pool.latents[rows], self.pool.theta[rows])
            self.mlp_optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            average_gradients(self.accelerator, self.latent_coefficients)
            self.mlp_optimizer.step()
            error = float(loss.detach())
        self.latent_coefficients.requires_grad_(False)
        return error

    @torch.no_grad()
    def _refresh(self) -> None:
        """Add rigged latents, of every block, with the coefficients of their images."""
        share = max(1, self.config.refresh // len(self.rigs))
        for block, rig in self.rigs.items():
            w, v = (self.pool.draw(share, self.rng) for _ in range(2))
            asked = self.face_model.layout.get(self.pool.theta[v], block)
            rigged = rig.rig(self.pool.latents[w], asked)
            self.pool.add(rigged, *observe(self.generator, self.encoder, rigged, self.config.render_size))

    # ---- a step ----------------------------------------------------------------------------------------------

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Float[Tensor, ""]]:
        """The loss of every rig, one after another."""
        config, fraction = self.config, progress.fraction
        first = config.pair_share if self.edits is not None else config.image_from
        through_images = fraction >= first
        truth = bool(
            through_images
            and self.edits is not None
            and config.truth_every
            and progress.step % config.truth_every == 0
        )
        analysed = config.control_variate if through_images else self.edits is None
        if analysed:
            self._keep_taught(progress.step)
        for block, rig in self.rigs.items():
            losses = self._latent_losses(rig, config.batch, analysed)
            if self.edits is not None:
                losses = self._add(losses, self._pair_losses(rig, self.edits))
            if truth and self.edits is not None:
                losses = self._add(losses, self._truth_losses(rig, self.edits))
            elif through_images:
                losses = self._add(losses, self._image_losses(rig))
            for name, value in losses.items():
                notes.add(f"{block}_{name}_loss", value)
            yield self._total(block, losses)
        if through_images and config.control_variate:
            notes.add("coefficients_loss", self._teach(1))

    def learning_rate(self, progress: Progress) -> float:
        """A cosine over the budget, or one over each of its parts where true edits come first."""
        config, fraction = self.config, progress.fraction
        if config.optimizer != "adam":
            return config.learning_rate
        peak = config.learning_rate
        if config.pairs and 0 < config.pair_share < 1:
            early = fraction < config.pair_share
            peak = config.pair_learning_rate if early else peak
            start, end = (0.0, config.pair_share) if early else (config.pair_share, 1.0)
            fraction = (fraction - start) / (end - start)
        return peak * 0.5 * (1 + math.cos(math.pi * fraction))

    def _keep_taught(self, step: int) -> None:
        """F on the latent learns again every `refresh_every` steps."""
        config = self.config
        due = bool(config.refresh_every and step and step % config.refresh_every == 0)
        if due and self.refreshed_at != step:
            self.refreshed_at = step
            self._refresh()
            self._teach(config.refresh_steps)

    def _total(self, block: str, losses: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        weights = dataclasses.asdict(self.config.weights)
        for name in ("edit", "consistency"):
            weights[name] /= self.unedited[block]
        return torch.stack([weights[name] * value for name, value in losses.items()]).sum()

    def _pairs(self, n: int) -> tuple[Int[Tensor, "2*{n}"], Int[Tensor, "2*{n}"]]:
        """Rows of w and v: n pairs, then the same with w and v exchanged."""
        w, v = (self.pool.draw(n, self.rng) for _ in range(2))
        return torch.cat([w, v]), torch.cat([v, w])

    @staticmethod
    def _add(
        first: dict[str, Float[Tensor, ""]], second: dict[str, Float[Tensor, ""]]
    ) -> dict[str, Float[Tensor, ""]]:
        """Sum by name; a name that one of them lacks counts as 0."""
        names = dict.fromkeys([*first, *second])
        return {name: sum(d[name] for d in (first, second) if name in d) for name in names}  # type: ignore[misc]

    def _latent_losses(self, rig: RigNet, n: int, analysed: bool) -> dict[str, Float[Tensor, ""]]:
        """The losses that need no image; with those of ℓ, taking θ_ŵ from F on the latent, if `analysed`.

        Where true edits say how far to go, the shortest way is not asked for.
        """
        w, v = self._pairs(n)
        latent, theta_w, theta_v = self.pool.latents[w], self.pool.theta[w], self.pool.theta[v]
        layout, block, scale = self.face_model.layout, rig.block, rig.latent_scale
        same = rig.rig(latent, layout.get(theta_w, block))
        losses = {"reconstruction": latent_distance(same, latent, scale)}
        if self.edits is not None and not analysed:
            return losses
        rigged = rig.rig(latent, layout.get(theta_v, block))
        losses["drift"] = latent_distance(rigged, latent, scale)
        if analysed:
            losses |= rig_losses(block, self.analysis, self.latent_coefficients(rigged), theta_w, theta_v)
        return losses

    def _pair_losses(self, rig: RigNet, edits: Edits) -> dict[str, Float[Tensor, ""]]:
        """Distance to the latents of true edits, in units of that of a rig that changes nothing."""
        config, layout, block = self.config, self.face_model.layout, rig.block
        before, after = edits.draw(block, config.pair_batch, self.rng)
        asked = edits.ask(layout, block, before, after, config.known, self.rng)
        latent, wanted = edits.latents[before], edits.latents[after]
        unit = latent_distance(latent, wanted, rig.latent_scale).clamp_min(1e-9)
        return {"pairs": latent_distance(rig.rig(latent, asked), wanted, rig.latent_scale) / unit}

    def _truth_losses(self, rig: RigNet, edits: Edits) -> dict[str, Float[Tensor, ""]]:
        """What an edit changes in the picture against what the true edit changes there."""
        config, layout, block = self.config, self.face_model.layout, rig.block
        before, after = edits.draw(block, 2 * config.image_batch, self.rng)
        asked = edits.ask(layout, block, before, after, 1.0, self.rng)
        image = self.generator.synthesize(rig.rig(edits.latents[before], asked))
        small = shrink(image, config.render_size)
        change = small - from_bytes(edits.images[before], small)
        truth = from_bytes(edits.portraits[after], small) - from_bytes(edits.portraits[before], small)
        return {"truth": (change - truth).square().mean() / truth.square().mean().clamp_min(1e-9)}

    def _image_losses(self, rig: RigNet) -> dict[str, Float[Tensor, ""]]:
        """The losses of ℓ through generator and encoder, and those of images only.

        As a control variate, the same losses of ℓ by F on the latent are subtracted; the step adds them on a larger
        batch. The gradient stays that of the image path and is noisy only where the two differ.
        """
        config, layout, block = self.config, self.face_model.layout, rig.block
        w, v = self._pairs(config.image_batch)
        theta_w, theta_v = self.pool.theta[w], self.pool.theta[v]
        rigged = rig.rig(self.pool.latents[w], layout.get(theta_v, block))
        image = self.generator.synthesize(rigged)
        with self.accelerator.autocast():
            theta = self.encoder.encode(image)
        small = shrink(image, config.render_size)
        n = config.render_batch
        images_w = from_bytes(self.pool.images[w[:n]], image) if n else None
        images_v = from_bytes(self.pool.images[v[:n]], image) if n else None
        losses = rig_losses(block, self.analysis, theta, theta_w, theta_v, images_w, images_v)
        if config.control_variate:
            known = rig_losses(block, self.analysis, self.latent_coefficients(rigged), theta_w, theta_v)
            losses = self._add(losses, {name: -value for name, value in known.items()})
        if n and config.weights.background:
            with torch.no_grad():
                masks = [self.face_model.render(t[:n], config.render_size).mask for t in (theta, theta_w)]
            assert images_w is not None
            losses["background"] = background_loss(small[:n], images_w, (masks[0], masks[1]))
        if n and self.recognition is not None and config.weights.recognition:
            with torch.no_grad():
                before = self.recognition.embed(self.generator.synthesize(self.pool.latents[w[:n]]))
            losses["recognition"] = (self.recognition.embed(image[:n]) - before).square().sum(dim=1).mean()
        self.pool.add(rigged.detach(), to_bytes(small.detach()), theta.detach())
        return losses

    # ---- what is reported ------------------------------------------------------------------------------------

    def measure(self) -> Mapping[str, float]:
        """`measure_rig` of every block on the latents that are not trained on, `measure_edits` on the true edits that
        are not; and F's error. `missing` is the mean over the blocks."""
        latents, _, theta = self.held
        figures = {}
        if self.coefficients_used:
            figures["coefficients_error"] = float(self.latent_coefficients.loss(latents, theta))
        networks = (self.generator, self.encoder, self.face_model)
        batch = at_once(self.generator)
        missing = []
        for block, rig in self.rigs.items():
            found = measure_rig(
                rig, *networks, self.analysis.metric, latents, theta, self.recognition, batch=batch
            )
            missing.append(found["missing"])
            if self.edits is not None:
                found |= measure_edits(rig, *networks, self.edits, batch=batch)
            figures |= {f"{block}_{name}": value for name, value in found.items()}
        return {"missing": sum(missing) / len(missing), **figures}

    def sheet(self) -> Float[Tensor, "3 H W"]:
        """Rows of held-out samples: w, the sample v that is asked for, and w with each block of v."""
        rigs = cast(dict[str, RigNetwork], self.rigs)
        return rig_sheet(rigs, self.generator, self.held[0], self.held[2])

    def save(self, figures: Mapping[str, float]) -> None:
        training = settings_as_notes(self.config, ("output",))
        for block, rig in self.rigs.items():
            own = {name: value for name, value in figures.items() if name.startswith(block)}
            notes = {"training": training, "figures": own, "generator": self.identity}
            rig.save(rig_file(self.config.output, block), notes)

    def state_dict(self) -> dict[str, Any]:
        return {
            "mlp": self.latent_coefficients.state_dict(),
            "mlp_optimizer": self.mlp_optimizer.state_dict(),
            "ring": self.pool.state_dict(),
            "refreshed_at": self.refreshed_at,
            "unedited": self.unedited,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.latent_coefficients.load_state_dict(state["mlp"])
        self.mlp_optimizer.load_state_dict(state["mlp_optimizer"])
        self.pool.load_state_dict(state["ring"])
        self.refreshed_at = int(state["refreshed_at"])
        self.unedited = dict(state["unedited"])


def rig_file(folder: str | Path, block: str) -> Path:
    """The weight file of a block's rig."""
    return Path(folder) / f"rig_{block}.safetensors"
