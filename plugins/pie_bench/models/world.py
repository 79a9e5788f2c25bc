"""What the models are measured with: the networks, the judge and the source of portraits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pie_bench.models.settings import ModelsConfig
from pie_bench.world import builder_with
from pie_framework.api import Kind, KnownPortraits, Networks, RecognitionNetwork, Scenes
from pie_framework.composition.build import Builder
from pie_framework.composition.schema import RunConfig
from pie_framework.errors import ConfigError
from pie_framework.plugins import Registry

#: Streams of random numbers below the seed of a measurement.
PERSONS, SOURCES, RENDERS, SAMPLES, PRIOR = range(5)


@dataclass(frozen=True)
class World:
    """All that a measure may use.

    Attributes:
        settings: of the measurement.
        builder: of the networks.
        networks: those that are composed; the others are None.
        judge: the same with the encoder that reads what an edit achieved; None without an encoder.
        scenes: draws the portraits.
    """

    settings: ModelsConfig
    builder: Builder
    networks: Networks
    judge: Networks | None
    scenes: Scenes

    @property
    def recognition(self) -> RecognitionNetwork | None:
        """Ψ, where one is composed."""
        network = self.networks.features.get("recognition")
        return network if isinstance(network, RecognitionNetwork) else None

    def embed(self, images: Tensor) -> Tensor:
        """Ψ's embeddings of pictures, (B, E)."""
        network = self.recognition
        assert network is not None
        return self.networks.call("features.recognition", network.embed, images)

    def draw(self, stream: int, number: int, count: int, shots: int = 1) -> KnownPortraits:
        """Portraits of a batch; they depend on nothing but the seed, the stream and the batch's number."""
        rng = np.random.default_rng([self.settings.seed, stream, number])
        return self.scenes.draw(count, rng, shots)

    def sample(self, stream: int, number: int, count: int) -> Tensor:
        """Latents (count, L, D) of a batch from the generator's prior."""
        state = np.random.SeedSequence([self.settings.seed, stream, number]).generate_state(1, np.uint64)[0]
        return self.networks.sample(count, torch.Generator().manual_seed(int(state) >> 1))


def build(settings: ModelsConfig, run: RunConfig, registry: Registry) -> World:
    """Load what is composed.

    Raises:
        ConfigError: the portraits have not the generator's size, or θ not the face model's layout.
    """
    builder = builder_with(run, registry, scenes=settings.scenes)

    def maybe(kind: Kind, role: str | None = None) -> Any:
        return None if builder.chosen(kind, role) is None else builder.get(kind, role)

    features = {str(role): maybe(Kind.FEATURES, str(role)) for role in run.components.get("features", {})}
    networks = Networks(
        generator=builder.get(Kind.GENERATOR),
        encoder=maybe(Kind.ENCODER),
        face_model=maybe(Kind.FACE_MODEL),
        features={role: network for role, network in features.items() if network is not None},
        landmarks=maybe(Kind.LANDMARKS),
        editor=maybe(Kind.EDITOR),
        inverter=maybe(Kind.INVERTER),
        origins={role: registry.described(component) for role, component in builder.used.items()},
    )
    judge = networks if networks.encoder is not None else None
    if settings.judge:
        others = builder_with(run, registry, encoder=settings.judge)
        encoder = others.get(Kind.ENCODER)
        origins = {**networks.origins, "encoder": others.origin(Kind.ENCODER)}
        judge = dataclasses.replace(networks, encoder=encoder, origins=origins)
    scenes: Scenes = builder.get(Kind.SCENES)
    if scenes.size != networks.generator.resolution:
        raise ConfigError(
            f"the portraits have {scenes.size} pixels, the generator makes {networks.generator.resolution}",
            "Choose scenes and a generator of one size.",
        )
    if networks.face_model is not None and networks.face_model.layout != scenes.layout:
        raise ConfigError("the portraits' θ has another layout than the face model")
    return World(settings, builder, networks, judge, scenes)
