"""The whole job from Python: compose, read a portrait, embed it, edit it, keep it.

```python
from pie_framework import Pipeline

pipeline = Pipeline.compose("energy=full", "generator=stylegan2", "seed=1")
embedding = pipeline.embed("photo.jpg")
embedding.reconstruction().save("reconstruction.png")
for result in embedding.edit(["rotation.yaw=15", "expression.smile=0.8"]):
    print(result.asked, result.achieved, result.identity_similarity)
```
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL.Image import Image
from torch import Tensor

from pie_framework.api import AlignedPortrait, Kind, Networks, PhotoLandmarks
from pie_framework.api.events import RunStarted
from pie_framework.assets import resolve
from pie_framework.composition.build import Builder
from pie_framework.composition.plan import Plan, make_plan
from pie_framework.composition.schema import RunConfig, values
from pie_framework.editing.controls import EditRequest
from pie_framework.editing.edit import EditResult, edit, embed, vocabulary_of
from pie_framework.errors import PluginError
from pie_framework.images.affine import apply, invert
from pie_framework.images.metrics import psnr, ssim
from pie_framework.images.photo import read_photo, to_picture, to_tensor
from pie_framework.optimisation.events import RunEvents
from pie_framework.optimisation.history import History
from pie_framework.optimisation.objective import Objective
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.solver import OnCheck, Solution, solve
from pie_framework.optimisation.start import make_problem, start_latent
from pie_framework.optimisation.state import SolverState
from pie_framework.plugins import Observers, Registry, discover

_EXAMPLE = re.compile(r"example(?::(\d+))?")


@dataclass(frozen=True)
class Portrait:
    """A portrait ready to be embedded.

    Attributes:
        name: what files and messages call it.
        aligned: the portrait with the way back to its photo.
        photo: the photo it was cut from.
        landmarks: (K, 2) portrait pixels, where the user prescribed them; None where they are to be detected.
    """

    name: str
    aligned: AlignedPortrait
    photo: Image
    landmarks: NDArray[np.float64] | None = None


class Pipeline:
    """The components of one configuration, built when they are first needed.

    Args:
        config: a composed configuration (`Pipeline.compose` makes one), or its plan.
        registry: the installed plugins; discovered when None.

    Raises:
        ConfigError, ComponentError: the configuration is wrong, or a term lacks what it requires.
    """

    def __init__(
        self, config: Plan | DictConfig | Mapping[str, Any] | RunConfig, registry: Registry | None = None
    ) -> None:
        self.plan = (config if isinstance(config, Plan) else make_plan(config, registry)).check()
        self.config, self.registry = self.plan.config, self.plan.registry
        self.builder = Builder(self.plan)

    @classmethod
    def compose(cls, *overrides: str, registry: Registry | None = None) -> Pipeline:
        """Compose the configuration as `pie run OVERRIDES` does."""
        from pie_framework.composition.compose import compose

        registry = discover() if registry is None else registry
        return cls(compose(overrides, registry=registry), registry)

    @cached_property
    def networks(self) -> Networks:
        """The frozen components that the energy and the edits use, and Ψ, where one is chosen, to judge by."""
        networks = self.builder.networks()
        if "recognition" in networks.features or not self.builder.chosen(Kind.FEATURES, "recognition"):
            return networks
        recognition = self.builder.get(Kind.FEATURES, "recognition")
        return replace(networks, features={**networks.features, "recognition": recognition})

    @cached_property
    def objective(self) -> Objective:
        """E(w)."""
        return self.builder.objective()

    def build(self) -> None:
        """Build all components now, which otherwise happens when they are first needed."""
        _ = self.networks, self.objective

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(self.config.schedule.stages)

    def portrait(self, source: str | os.PathLike[str] | Image, name: str | None = None) -> Portrait:
        """Read and align one portrait.

        Args:
            source: a path, "example" or "example:N" for a bundled portrait, or an RGB picture.
            name: what to call it; made from the path when None.

        Raises:
            InputError: the file cannot be used, or no face is found.
        """
        if isinstance(source, Image):
            photo, called = source.convert("RGB"), name or "portrait"
        else:
            path = self.path_of(os.fspath(source))
            photo, called = read_photo(path), name or path.stem
        networks, aligner = self.networks, self.builder.get(Kind.ALIGNER)
        side = networks.generator.resolution
        aligned = networks.call("aligner", aligner.align, photo, side)
        if not isinstance(aligned, AlignedPortrait) or aligned.image.size != (side, side):
            shown = aligned.image.size if isinstance(aligned, AlignedPortrait) else type(aligned).__name__
            raise PluginError(f"{networks.origin('aligner')} gave {shown}, not a portrait of {side} x {side}")
        detector = networks.landmarks
        given = None
        if isinstance(detector, PhotoLandmarks):
            given = networks.call("landmarks", detector.given, photo)
        landmarks = None if given is None else apply(invert(aligned.to_source), given)
        return Portrait(called, aligned, photo, landmarks)

    def path_of(self, source: str) -> Path:
        """The file that "example", "example:N" or a path means; AssetError for an example that is not there."""
        example = _EXAMPLE.fullmatch(source)
        if example is None:
            return Path(source).expanduser()
        return resolve(f"{self.config.examples}/portrait_{int(example[1] or 0)}.png")

    def images(self, portraits: Sequence[Portrait]) -> Tensor:
        """The portraits as a batch, (B, 3, R, R) in [-1, 1] on the pipeline's device."""
        device, dtype = self.builder.device, self.builder.dtype
        return torch.stack([to_tensor(p.aligned.image, device, dtype) for p in portraits])

    def known_landmarks(self, portraits: Sequence[Portrait], images: Tensor) -> Tensor | None:
        """The portraits' landmarks, (B, K, 2) pixels, where any are prescribed (the others are detected), else None.

        Args:
            portraits: B portraits.
            images: the same as a batch, (B, 3, R, R).
        """
        if all(portrait.landmarks is None for portrait in portraits):
            return None
        with torch.no_grad():
            rows = [
                self.networks.detect(images[i : i + 1])[0]
                if portrait.landmarks is None
                else torch.from_numpy(portrait.landmarks).to(images)
                for i, portrait in enumerate(portraits)
            ]
        return torch.stack(rows)

    def source_theta(self, source: str | os.PathLike[str]) -> Tensor:
        """θ of another portrait, (1, P), for edits that take blocks from it."""
        with torch.no_grad():
            return self.networks.encode(self.images([self.portrait(source)]))

    def edit(
        self, latent: Tensor, requests: Sequence[EditRequest], corrections: int | None = None
    ) -> list[EditResult]:
        """Edit one latent, (1, L, D), by requests that were parsed together.

        Args:
            latent: w as W+.
            requests: of `Vocabulary.parse`.
            corrections: by what was read back, 0 for a single pass; the configuration's `edit.corrections` when None.
        """
        source = requests[0].source
        return edit(
            latent,
            requests,
            self.networks,
            source_theta=self.source_theta(source) if source else None,
            corrections=self.config.edit.corrections if corrections is None else corrections,
        )

    def problem(self, images: Tensor, landmarks: Tensor | None = None) -> Problem:
        """What the solver needs for these portraits, (B, 3, R, R), with their landmarks (B, K, 2) if they are known."""
        config = self.config
        prior = config.prior if self.plan.draws_prior else None
        return make_problem(
            self.networks,
            self.objective,
            images,
            self.stages,
            self.builder.get(Kind.OPTIMIZER),
            config.blocks,
            prior,
            config.seed,
            landmarks,
            self.builder.origin(Kind.OPTIMIZER),
        )

    def embed(
        self,
        *sources: str | os.PathLike[str] | Image | Portrait,
        observers: Observers | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Embedding:
        """Embed one portrait, or several together; each comes out as if it were alone.

        Args:
            sources: what `portrait` reads, or portraits it has read.
            observers: are told about the run from its start to its end; the plugins' own by default.
            should_stop: asked every `schedule.check_every` steps; True ends the run.

        Returns:
            The latents with how each portrait ended; a component that fails is one of the endings.

        Raises:
            InputError: a portrait cannot be used.
        """
        with RunEvents(self.registry.observers() if observers is None else observers) as events:
            portraits = tuple(s if isinstance(s, Portrait) else self.portrait(s) for s in sources)
            return self.solve(portraits, events, should_stop=should_stop)

    def solve(
        self,
        portraits: tuple[Portrait, ...],
        events: RunEvents,
        inputs: Sequence[str] | None = None,
        resume: tuple[SolverState, History] | None = None,
        on_check: OnCheck | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Embedding:
        """The optimisation of a run that goes on after it.

        Args:
            portraits: what is embedded.
            events: tells about the run; its end is the caller's.
            inputs: the portraits as they were given; their names by default.
            resume: state and energies of a checkpoint.
            on_check: called with the state and the energies so far every `schedule.check_every` steps.
            should_stop: asked at the same times; True ends the run.
        """
        images = self.images(portraits)
        problem = self.problem(images, self.known_landmarks(portraits, images))
        if resume is None:
            initializer = self.builder.get(Kind.INIT)
            state = problem.start(start_latent(initializer, self.networks, images, self.config.seed))
            history = History()
        else:
            state, history = resume
        limits = {stage.name: stage.steps for stage in problem.stages}
        events.started(self._start(limits, [p.name for p in portraits] if inputs is None else inputs))
        solution = solve(
            problem,
            state,
            history,
            self.config.schedule.check_every,
            events.check(limits, on_check),
            should_stop,
        )
        events.solved(solution)
        return Embedding(self, portraits, images, solution)

    def _start(self, stages: Mapping[str, int], inputs: Sequence[str]) -> RunStarted:
        """What observers are told before the first step."""
        used = sorted(self.builder.used.items())
        origins = [self.registry.provenance(component) for _, component in used]
        return RunStarted(
            folder=None,
            portraits=len(inputs),
            stages=dict(stages),
            terms=tuple(name for name, term in self.config.terms.items() if term.active),
            config=values(self.config),
            choices={role: component.name for role, component in used},
            seed=self.config.seed,
            inputs=tuple(inputs),
            plugins={origin.plugin: str(origin) for origin in origins},
        )


@dataclass(frozen=True)
class Embedding:
    """Portraits and the latents found for them.

    Attributes:
        pipeline: whose components made it.
        portraits: B portraits.
        images: the portraits as the generator's size, (B, 3, R, R).
        solution: how the optimisation ended.
    """

    pipeline: Pipeline
    portraits: tuple[Portrait, ...]
    images: Tensor
    solution: Solution

    @property
    def latent(self) -> Tensor:
        """w as W+, (B, L, D)."""
        return self.solution.latent

    @cached_property
    def generated(self) -> Tensor:
        """G(w), (B, 3, R, R)."""
        with torch.no_grad():
            return self.pipeline.networks.synthesize(self.latent)

    def reconstruction(self, portrait: int = 0) -> Image:
        """G(w) of one portrait as a picture."""
        return to_picture(self.generated[portrait])

    def metrics(self) -> dict[str, list[float]]:
        """How close the reconstructions are: PSNR in dB, SSIM, and identity similarity; one value per portrait."""
        shown = self.generated.clamp(-1, 1)
        measured = {"psnr": psnr(shown, self.images).tolist(), "ssim": ssim(shown, self.images).tolist()}
        with torch.no_grad():
            made, true = (embed(self.pipeline.networks, images) for images in (self.generated, self.images))
        if made is not None and true is not None:
            measured["identity_similarity"] = (made * true).sum(dim=1).tolist()
        return measured

    def edit(
        self,
        controls: Sequence[str] | Mapping[str, Any],
        portrait: int = 0,
        name: str | None = None,
        corrections: int | None = None,
    ) -> list[EditResult]:
        """Edit one portrait; `pie edit --help` explains the controls. A sweep gives several results.

        Args:
            controls: what to change.
            portrait: which one.
            name: of the edit; made from the controls when None.
            corrections: by what was read back, 0 for a single pass; the configuration's `edit.corrections` when None.

        Raises:
            ConfigError: an unknown control or a value of the wrong kind.
        """
        requests = vocabulary_of(self.pipeline.networks).parse(controls, name)
        return self.pipeline.edit(self.latent[portrait : portrait + 1], requests, corrections)
