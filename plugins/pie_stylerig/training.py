"""The recipe that trains rig networks on the generator's own samples, without labels (StyleRig, §4).

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pie_framework.api import (
    BuildContext,
    FaceEncoder,
    FaceModel,
    Generator,
    Inverter,
    RecognitionNetwork,
    RigNetwork,
)
from pie_framework.errors import ConfigError
from pie_framework.training.progress import Budget, Curve, load_state, save_state, settings_as_notes
from pie_framework.training.settings import open_reader
from pie_stylerig.latent_coefficients import LatentCoefficients
from pie_stylerig.losses import Analysis, background_loss, latent_distance, photometric_metric, rig_losses
from pie_stylerig.measure import measure_edits, measure_rig, write_sheet
from pie_stylerig.network import RigNet
from pie_stylerig.pairs import Edits, read_edits
from pie_stylerig.pool import Pool, draw_latents, from_bytes, observe, shrink, to_bytes
from pie_stylerig.settings import TrainRigConfig

Report = Callable[[str], None]
#: Samples that a rig's readout is fitted to; the regression's cost grows with their cube.
READOUT_SAMPLES = 3000


def run(config: TrainRigConfig, context: BuildContext) -> dict[str, Path]:
    """The trainer component: build what the settings need, train, return the weight files by block."""
    torch.set_num_threads(config.threads)
    recognition = context.get("features", "recognition") if config.weights.recognition else None
    return train_rig(
        config,
        context.get("generator"),
        context.get("encoder"),
        context.get("face_model"),
        recognition,
        context.get("inverter") if config.pairs else None,
    )


def train_rig(
    config: TrainRigConfig,
    generator: Generator,
    encoder: FaceEncoder,
    face_model: FaceModel,
    recognition: RecognitionNetwork | None = None,
    inverter: Inverter | None = None,
    report: Report = print,
) -> dict[str, Path]:
    """Train, or go on training, one rig for each block.

    Args:
        config: settings; `config.output` gets `rig_BLOCK.safetensors`, `curve.csv`, `state.pt`, `pool.pt` and
            `sheet.png`.
        generator: G, frozen.
        encoder: MoFA, frozen.
        face_model: for ℓ.
        recognition: Ψ; without it that loss and measurement are left out.
        inverter: finds the latents of the portraits of `config.pairs`, if there are any.
        report: called with a line of progress.

    Returns:
        The weight files by block.

    Raises:
        ConfigError: pairs without an inverter, or without edits of a block.
    """
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = RigRecipe(config, generator, encoder, face_model, recognition, inverter, report)
    state_file = folder / "state.pt"
    if config.resume and state_file.exists():
        recipe.load_state_dict(load_state(state_file))
    budget = recipe.budget
    curve = Curve(folder / "curve.csv", budget.step)
    saved_at = budget.spent()
    while not budget.over() and not (config.stop_at and budget.step >= config.stop_at):
        losses = recipe.step()
        if budget.step % config.measure_every == 0 or budget.step == 1:
            values = {"seconds": budget.spent(), **losses, **recipe.measure()}
            curve.add(budget.step, values)
            report(
                f"step {budget.step}  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            )
        if config.save_seconds and budget.spent() - saved_at > config.save_seconds:
            save_state(state_file, recipe.state_dict())
            saved_at = budget.spent()
    save_state(state_file, recipe.state_dict())
    figures = recipe.measure()
    if budget.step % config.measure_every:
        curve.add(budget.step, {"seconds": budget.spent(), **figures})
    report(
        f"step {budget.step}, {budget.spent():.0f} s  "
        + "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
    )
    recipe.sheet(folder / "sheet.png")
    files = {}
    for block, rig in recipe.rigs.items():
        own = {name: value for name, value in figures.items() if name.startswith(block)}
        files[block] = folder / f"rig_{block}.safetensors"
        rig.save(files[block], {"training": settings_as_notes(config, ("output",)), "figures": own})
    return files


class RigRecipe:
    """Everything that changes while training, so that it can be saved and restored."""

    def __init__(
        self,
        config: TrainRigConfig,
        generator: Generator,
        encoder: FaceEncoder,
        face_model: FaceModel,
        recognition: RecognitionNetwork | None,
        inverter: Inverter | None,
        report: Report,
    ) -> None:
        self.config = config
        self.generator, self.encoder, self.face_model = generator, encoder, face_model
        self.recognition, self.inverter = recognition, inverter
        if config.pairs and inverter is None:
            raise ConfigError("pairs need an inverter", "Compose one, such as inverter=embedded.")
        self.rng = torch.Generator().manual_seed(config.seed)
        layout = face_model.layout
        fixed, metric, self.edits = self._samples(report)
        self.pool = Pool(*fixed, extra=config.pool)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            sizes = (generator.num_layers, generator.latent_dim)
            self.rigs = {block: RigNet(layout, block, *sizes, config.architecture) for block in config.blocks}
            self.latent_coefficients = LatentCoefficients(layout, *sizes, config.mlp_hidden)
        train = slice(config.measure_latents, self.pool.fixed)
        latents, theta = self.pool.latents[train], self.pool.theta[train]
        for block, rig in self.rigs.items():
            rig.to(latents)
            asked = layout.get(theta, block)
            if self.edits is not None:
                asked = torch.cat([asked, layout.get(self.edits.known[self.edits.held :], block)])
            rig.set_statistics(latents, asked)
            if rig.readout is not None:
                rows = torch.randperm(len(latents), generator=self.rng)[:READOUT_SAMPLES]
                left = rig.fit_readout(latents[rows], layout.get(theta[rows], block))
                # Adam moves each of its thousands of weights alike, so that one step would undo the fit.
                rig.readout.requires_grad_(False)
                report(f"{block} read from latents: a linear map leaves {left:.3f} of the variance")
        mlp = self.latent_coefficients.to(latents)
        mlp.set_statistics(latents, theta)
        if self.edits is None or config.control_variate:
            error = mlp.fit_linear(latents, theta)
            report(f"coefficients from latents: a linear map leaves {error:.3f} of the variance")
        self.analysis = Analysis(face_model, metric, mlp.scale, config.weights, config.render_size)
        self.unedited = {block: self._unedited(block) for block in config.blocks}
        make: Any = torch.optim.Adadelta if config.optimizer == "adadelta" else torch.optim.Adam
        self.optimizers = {
            b: make([p for p in rig.parameters() if p.requires_grad], config.learning_rate)
            for b, rig in self.rigs.items()
        }
        self.mlp_optimizer = torch.optim.AdamW(mlp.parameters(), 5e-4, weight_decay=0.05)
        self.budget = Budget(config.steps, config.seconds, clock=config.clock)
        mlp.requires_grad_(False)
        self.started = False

    def _samples(self, report: Report) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Edits | None]:
        """The fixed samples, the photometric metric and the true edits, from `pool.pt` when training is resumed.

        The samples are latents of the prior and, after them in random order, those of the true edits.
        """
        config, path = self.config, Path(self.config.output) / "pool.pt"
        if config.resume and path.exists():
            kept = load_state(path)
            self.rng.set_state(kept["rng"])
            like = self.generator.mean_latent()
            device = like.device
            fixed = (kept["latents"].to(like), kept["images"].to(device), kept["theta"].to(like))
            return (
                fixed,
                kept["metric"].to(like),
                Edits.from_state(kept["edits"], like) if kept["edits"] else None,
            )
        latents = draw_latents(self.generator, config.pool, config.spread, config.offset, self.rng)
        images, theta = observe(self.generator, self.encoder, latents, config.render_size)
        report(f"{len(latents)} samples observed")
        edits = None
        if config.pairs:
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
                self.rng,
            )
            report(f"{len(edits)} portraits with true edits observed")
            order = edits.held + torch.randperm(len(edits) - edits.held, generator=self.rng)
            latents = torch.cat([latents, edits.latents[order]])
            images, theta = torch.cat([images, edits.images[order]]), torch.cat([theta, edits.theta[order]])
        scale = theta.std(0).clamp_min(1e-4)
        metric = photometric_metric(
            self.face_model, theta[: config.metric_samples], scale, config.render_size
        )
        state = {
            "latents": latents,
            "images": images,
            "theta": theta,
            "metric": metric,
            "edits": edits.state_dict() if edits else None,
            "rng": self.rng.get_state(),
        }
        save_state(path, state)
        return (latents, images, theta), metric, edits

    @torch.no_grad()
    def _unedited(self, block: str, n: int = 256) -> float:
        """The edit loss of a rig that changes nothing: the unit in which ℓ is weighted against the rest."""
        theta = self.pool.theta[: self.pool.fixed][:n]
        asked = theta.roll(-1, 0)
        loss = self.analysis.distance(self.face_model.layout.replace(asked, theta, block), asked)
        return max(float(loss), 1e-9)

    # ---- F on the latent -------------------------------------------------------------------------------------

    def _teach(self, steps: int) -> float:
        """Training steps of F on the pool, half of each batch from the ring; the last batch's error."""
        error, ring = 0.0, self.pool.fixed
        self.latent_coefficients.requires_grad_(True)
        for _ in range(steps):
            rows = self.pool.draw(self.config.batch, self.rng, self.config.measure_latents)
            if len(self.pool) > ring:
                rows = torch.cat([rows, self.pool.draw(self.config.batch, self.rng, ring)])
            loss = self.latent_coefficients.loss(self.pool.latents[rows], self.pool.theta[rows])
            self.mlp_optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.mlp_optimizer.step()
            error = float(loss.detach())
        self.latent_coefficients.requires_grad_(False)
        return error

    @torch.no_grad()
    def _refresh(self) -> None:
        """Add rigged latents, of every block, with the coefficients of their images."""
        share = max(1, self.config.refresh // len(self.rigs))
        for block, rig in self.rigs.items():
            w, v = (self.pool.draw(share, self.rng, self.config.measure_latents) for _ in range(2))
            asked = self.face_model.layout.get(self.pool.theta[v], block)
            rigged = rig.rig(self.pool.latents[w], asked)
            self.pool.add(rigged, *observe(self.generator, self.encoder, rigged, self.config.render_size))

    # ---- a step ----------------------------------------------------------------------------------------------

    def step(self) -> dict[str, float]:
        """One step of every rig; its losses, unweighted."""
        config, fraction = self.config, self.budget.fraction()
        first = config.pair_share if self.edits is not None else config.image_from
        through_images = fraction >= first
        truth = bool(
            through_images
            and self.edits is not None
            and config.truth_every
            and self.budget.step % config.truth_every == 0
        )
        analysed = config.control_variate if through_images else self.edits is None
        if analysed:
            self._keep_taught()
        rate = self._rate(fraction)
        figures: dict[str, float] = {}
        for block, rig in self.rigs.items():
            optimizer = self.optimizers[block]
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = self._latent_losses(rig, config.batch, analysed)
            if self.edits is not None:
                losses = self._add(losses, self._pair_losses(rig, self.edits))
            if truth and self.edits is not None:
                losses = self._add(losses, self._truth_losses(rig, self.edits))
            elif through_images:
                losses = self._add(losses, self._image_losses(rig))
            total = self._total(block, losses)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            optimizer.step()
            figures |= {f"{block}_{name}_loss": float(value.detach()) for name, value in losses.items()}
        if through_images and config.control_variate:
            figures["coefficients_loss"] = self._teach(1)
        self.budget.step += 1
        return figures

    def _rate(self, fraction: float) -> float:
        """The learning rate: a cosine over the budget, or one over each of its parts where true edits come first."""
        config = self.config
        if config.optimizer != "adam":
            return config.learning_rate
        peak = config.learning_rate
        if self.edits is not None and 0 < config.pair_share < 1:
            early = fraction < config.pair_share
            peak = config.pair_learning_rate if early else peak
            start, end = (0.0, config.pair_share) if early else (config.pair_share, 1.0)
            fraction = (fraction - start) / (end - start)
        return peak * 0.5 * (1 + math.cos(math.pi * fraction))

    def _keep_taught(self) -> None:
        """F on the latent: learn before the first step that asks it, and again every `refresh_every` steps."""
        config = self.config
        if not self.started:
            self._teach(config.mlp_steps)
            self.started = True
        if config.refresh_every and self.budget.step and self.budget.step % config.refresh_every == 0:
            self._refresh()
            self._teach(config.refresh_steps)

    def _total(self, block: str, losses: dict[str, Tensor]) -> Tensor:
        weights = dataclasses.asdict(self.config.weights)
        for name in ("edit", "consistency"):
            weights[name] /= self.unedited[block]
        return torch.stack([weights[name] * value for name, value in losses.items()]).sum()

    def _pairs(self, n: int) -> tuple[Tensor, Tensor]:
        """Rows of w and v: n pairs, then the same with w and v exchanged."""
        w, v = (self.pool.draw(n, self.rng, self.config.measure_latents) for _ in range(2))
        return torch.cat([w, v]), torch.cat([v, w])

    @staticmethod
    def _add(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum by name; a name that one of them lacks counts as 0."""
        names = dict.fromkeys([*first, *second])
        return {name: sum(d[name] for d in (first, second) if name in d) for name in names}  # type: ignore[misc]

    def _latent_losses(self, rig: RigNet, n: int, analysed: bool) -> dict[str, Tensor]:
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

    def _pair_losses(self, rig: RigNet, edits: Edits) -> dict[str, Tensor]:
        """Distance to the latents of true edits, in units of that of a rig that changes nothing."""
        config, layout, block = self.config, self.face_model.layout, rig.block
        before, after = edits.draw(block, config.pair_batch, self.rng)
        asked = edits.ask(layout, block, before, after, config.known, self.rng)
        latent, wanted = edits.latents[before], edits.latents[after]
        unit = latent_distance(latent, wanted, rig.latent_scale).clamp_min(1e-9)
        return {"pairs": latent_distance(rig.rig(latent, asked), wanted, rig.latent_scale) / unit}

    def _truth_losses(self, rig: RigNet, edits: Edits) -> dict[str, Tensor]:
        """What an edit changes in the picture against what the true edit changes there."""
        config, layout, block = self.config, self.face_model.layout, rig.block
        before, after = edits.draw(block, 2 * config.image_batch, self.rng)
        asked = edits.ask(layout, block, before, after, 1.0, self.rng)
        image = self.generator.synthesize(rig.rig(edits.latents[before], asked))
        small = shrink(image, config.render_size)
        change = small - from_bytes(edits.images[before], small)
        truth = from_bytes(edits.portraits[after], small) - from_bytes(edits.portraits[before], small)
        return {"truth": (change - truth).square().mean() / truth.square().mean().clamp_min(1e-9)}

    def _image_losses(self, rig: RigNet) -> dict[str, Tensor]:
        """The losses of ℓ through generator and encoder, and those of images only.

        As a control variate, the same losses of ℓ by F on the latent are subtracted; the step adds them on a larger
        batch. The gradient stays that of the image path and is noisy only where the two differ.
        """
        config, layout, block = self.config, self.face_model.layout, rig.block
        w, v = self._pairs(config.image_batch)
        theta_w, theta_v = self.pool.theta[w], self.pool.theta[v]
        rigged = rig.rig(self.pool.latents[w], layout.get(theta_v, block))
        image = self.generator.synthesize(rigged)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=config.bfloat16):
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

    def measure(self) -> dict[str, float]:
        """`measure_rig` of every block on the latents that are not trained on, `measure_edits` on the true edits that
        are not; and F's error."""
        held = slice(0, self.config.measure_latents)
        latents, theta = self.pool.latents[held], self.pool.theta[held]
        with torch.no_grad():
            error = self.latent_coefficients.loss(latents, theta)
        figures = {"coefficients_error": float(error)} if self.started else {}
        networks = (self.generator, self.encoder, self.face_model)
        for block, rig in self.rigs.items():
            found = measure_rig(rig, *networks, self.analysis.metric, latents, theta, self.recognition)
            if self.edits is not None:
                found |= measure_edits(rig, *networks, self.edits)
            figures |= {f"{block}_{name}": value for name, value in found.items()}
        return figures

    def sheet(self, path: Path) -> None:
        held = slice(0, self.config.measure_latents)
        rigs = cast(dict[str, RigNetwork], self.rigs)
        write_sheet(path, rigs, self.generator, self.pool.latents[held], self.pool.theta[held])

    def state_dict(self) -> dict[str, Any]:
        return {
            "rigs": {block: rig.state_dict() for block, rig in self.rigs.items()},
            "optimizers": {block: optimizer.state_dict() for block, optimizer in self.optimizers.items()},
            "mlp": self.latent_coefficients.state_dict(),
            "mlp_optimizer": self.mlp_optimizer.state_dict(),
            "ring": self.pool.state_dict(),
            "started": self.started,
            "rng": self.rng.get_state(),
            "step": self.budget.step,
            "elapsed": self.budget.spent(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for block, rig in self.rigs.items():
            rig.load_state_dict(state["rigs"][block])
            self.optimizers[block].load_state_dict(state["optimizers"][block])
        self.latent_coefficients.load_state_dict(state["mlp"])
        self.mlp_optimizer.load_state_dict(state["mlp_optimizer"])
        self.pool.load_state_dict(state["ring"])
        self.started = bool(state["started"])
        self.rng.set_state(state["rng"])
        self.budget.step = int(state["step"])
        self.budget.elapsed = float(state["elapsed"])
