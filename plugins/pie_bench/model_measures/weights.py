"""How large and how fast the networks are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pie_bench.model_measures.figures import Figure
from pie_bench.model_measures.world import World
from pie_framework.api import Kind
from pie_framework.assets import resolve
from pie_framework.composition.build import Builder
from pie_framework.composition.plan import selection
from pie_framework.errors import AssetError

MEGABYTE = 1e6
REPEATS = 5
TABLE = "networks"


def measure(
    world: World, runs: Mapping[str, tuple[Mapping[str, Any], Any, Callable[[], object]]]
) -> list[Figure]:
    """Size, parameters and time of one forward pass of each network, and the size of all files together.

    Args:
        world: its builder finds the files.
        runs: from `networks`.
    """
    found: list[Figure] = []
    files = declared_files(world.builder)

    def add(name: str, what: str, value: float, unit: str) -> None:
        found.append(Figure("weights", f"{name}, {what}", value, unit, 1, (TABLE, name, what)))

    for name, (node, network, run) in runs.items():
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


def networks(world: World) -> dict[str, tuple[Mapping[str, Any], Any, Callable[[], object]]]:
    """Each composed network by name: its settings, itself, and one pass over one portrait."""
    run, parts = world.builder.run, world.networks
    latent = parts.generator.mean_latent().expand(1, parts.generator.num_layers, -1)
    image = parts.generator.synthesize(latent).detach()
    found: dict[str, tuple[Mapping[str, Any], Any, Callable[[], object]]] = {}

    def add(name: str, node: Mapping[str, Any] | None, network: Any, one: Callable[[], object]) -> None:
        found[name] = (node or {}, network, one)

    add("generator", run.components["generator"], parts.generator, lambda: parts.generator.synthesize(latent))
    if (inverter := parts.inverter) is not None:
        add("inverter", run.components["inverter"], inverter, lambda: inverter.invert(image))
    if (encoder := parts.encoder) is not None:
        add("encoder", run.components["encoder"], encoder, lambda: encoder.encode(image))
    if (judge := world.judge) is not None and world.settings.judge:
        add("judge", world.settings.judge, judge, lambda: judge.encode(image))
    if (detector := parts.landmarks) is not None:
        add("landmarks", run.components["landmarks"], detector, lambda: detector.detect(image))
    chosen_features = run.components.get("features", {})
    for role, features in parts.features.items():
        add(f"features.{role}", chosen_features[role], features, lambda f=features: f.features(image))  # type: ignore[misc]
    for block in run.blocks:
        node = selection(run, Kind.RIG, block)
        if node is not None:
            rig = world.builder.get(Kind.RIG, block)
            asked = latent.new_zeros(1, rig.layout.block(block).size)
            add(f"rig.{block}", node, rig, lambda r=rig, a=asked: r.rig(latent, a))  # type: ignore[misc]
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
