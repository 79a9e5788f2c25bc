"""How large and how fast the networks are."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from pie_bench.models.figures import Figure
from pie_bench.models.world import World
from pie_framework.api import Kind
from pie_framework.assets import resolve
from pie_framework.composition.build import Builder
from pie_framework.composition.plan import selection
from pie_framework.errors import AssetError

MEGABYTE = 1e6
REPEATS = 5
TABLE = "networks"


class Network(NamedTuple):
    """A composed network: its settings, itself, and one pass over one portrait."""

    node: Mapping[str, Any]
    network: Any
    run: Callable[[], object]


def measure(world: World) -> list[Figure]:
    """Size, parameters and time of one forward pass of each network, and the size of all files together."""
    found: list[Figure] = []
    files = declared_files(world.builder)

    def add(name: str, what: str, value: float, unit: str) -> None:
        found.append(Figure("weights", f"{name}, {what}", value, unit, 1, (TABLE, name, what)))

    for name, (node, network, run) in networks(world).items():
        uri = node.get("weights")
        if isinstance(uri, str) and uri:
            path = Path(world.builder.asset(uri))
            files.add(path.resolve())
            add(name, "file", path.stat().st_size / MEGABYTE, "MB")
        if isinstance(network, nn.Module):
            count = sum(parameter.numel() for parameter in network.parameters())
            add(name, "parameters", float(count), "parameters")
        add(name, "one pass", 1e3 * seconds(run), "ms")
    total = sum(path.stat().st_size for path in files) / MEGABYTE
    return [Figure("weights", "all files", total, "MB", max(1, len(files))), *found]


def declared_files(builder: Builder) -> set[Path]:
    """The weight files that installed components declare and that are there."""
    found = set()
    for _, component in builder.registry.named():
        for asset in component.assets:
            try:
                found.add(Path(resolve(asset.uri, None)).resolve())
            except AssetError:
                continue
    return found


def networks(world: World) -> dict[str, Network]:
    """Each composed network by name."""
    run, parts = world.builder.run, world.networks
    latent = parts.generator.mean_latent().expand(1, parts.generator.num_layers, -1)
    image = parts.synthesize(latent).detach()
    chosen = run.components
    found = {"generator": Network(chosen["generator"], parts.generator, lambda: parts.synthesize(latent))}
    if parts.inverter is not None:
        found["inverter"] = Network(chosen["inverter"], parts.inverter, lambda: parts.invert(image))
    if parts.encoder is not None:
        found["encoder"] = Network(chosen["encoder"], parts.encoder, lambda: parts.encode(image))
    if (judge := world.judge) is not None and world.settings.judge:
        found["judge"] = Network(world.settings.judge, judge.encoder, lambda: judge.encode(image))
    if parts.landmarks is not None:
        found["landmarks"] = Network(chosen["landmarks"], parts.landmarks, lambda: parts.detect(image))
    for role, features in parts.features.items():
        one = functools.partial(parts.extract, role, image)
        found[f"features.{role}"] = Network(chosen["features"][role], features, one)
    for block in run.blocks:
        if (node := selection(run, Kind.RIG, block)) is not None:
            rig = world.builder.get(Kind.RIG, block)
            asked = latent.new_zeros(1, rig.layout.block(block).size)
            one = functools.partial(parts.call, f"rig.{block}", rig.rig, latent, asked)
            found[f"rig.{block}"] = Network(node, rig, one)
    return found


@torch.no_grad()
def seconds(run: Callable[[], object]) -> float:
    """Median time of a pass, after one to warm up."""
    run()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
