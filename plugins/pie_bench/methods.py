"""Methods: a name, a summary, and the overrides that `pie run` would be given. Imports no torch."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pie_bench.settings import ROOT, BenchConfig, need_option
from pie_framework import assets
from pie_framework.composition import schema as config
from pie_framework.composition.compose import compose
from pie_framework.composition.plan import PRIOR, make_plan, places, selection
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import ConfigError, PieError
from pie_framework.plugins import Registry
from pie_framework.settings import merge


@dataclass
class MethodConfig:
    """conf/method/NAME.yaml.

    Attributes:
        summary: what the method is, in one line.
        overrides: what `pie run` would be given.
        edits: whether it edits; without, its reconstruction stands for every edit.
    """

    summary: str = ""
    overrides: list[str] = field(default_factory=list)
    edits: bool = True


@dataclass(frozen=True)
class Method:
    """A method ready to run.

    Attributes:
        name: of its file.
        summary: what it is, in one line.
        overrides: what `pie run` would be given, with the bench's own.
        edits: whether it edits.
        run: what they compose to, with the seed 0.
        embedding: digest of all that its embeddings depend on; methods that share it share them.
        fingerprint: digest of all that its rows depend on.
    """

    name: str
    summary: str
    overrides: tuple[str, ...]
    edits: bool
    run: RunConfig
    embedding: str = ""
    fingerprint: str = ""


def load(bench: BenchConfig, registry: Registry) -> list[Method]:
    """The bench's methods, every one composed and checked.

    Raises:
        ConfigError: a method that does not exist, whose overrides do not compose, or that lacks a component or its
            weights; names it.
    """
    for name in bench.methods:
        need_option("method", name)
    found = []
    for name in bench.methods:
        node = compose([f"+method={name}"], registry, ROOT).method
        method = merge(MethodConfig, node, f"method.{name}")
        overrides = (*bench.overrides, *method.overrides, f"device={bench.device}")
        try:
            run = compose_run(overrides, registry)
            found.append(make(name, method, run, registry, overrides))
        except PieError as error:
            raise ConfigError(f"the method '{name}': {error.message}", error.hint) from error
    return found


def compose_run(overrides: Sequence[str], registry: Registry) -> RunConfig:
    """What `pie run` would do, without the edits it would make at its end."""
    run = parse(compose(overrides, registry))
    return dataclasses.replace(run, edit=dataclasses.replace(run.edit, requests={}))


def make(
    name: str, method: MethodConfig, run: RunConfig, registry: Registry, overrides: tuple[str, ...] = ()
) -> Method:
    """A method from its composed run; ComponentError when it lacks a component."""
    key = embedding_key(run, registry)
    everything = {"embedding": key, "edits": method.edits}
    if method.edits:
        everything |= {"corrections": run.edit.corrections, "networks": _nodes(run, registry, edits=True)}
    return Method(name, method.summary, overrides, method.edits, run, digest(key), digest(everything))


def embedding_key(run: RunConfig, registry: Registry) -> dict[str, Any]:
    """All that an embedding depends on but the portraits and the seed; ComponentError when something is missing."""
    values = config.values(run)
    keys = ("terms", "optimizer", "schedule", "blocks", "init", "dtype")
    key = {name: values[name] for name in keys} | {"networks": _nodes(run, registry, edits=False)}
    if make_plan(run, registry, edits=False).draws_prior:
        key["prior"] = values["prior"]
    return key


def _nodes(run: RunConfig, registry: Registry, edits: bool) -> dict[str, Any]:
    """The settings of every component that is required, with the digests of the files they name."""
    plan = make_plan(run, registry, edits).check()
    needed = [place for r in plan.requirements if r.what != PRIOR for place in places(run, r.what)]
    nodes = {(f"{kind}.{part}" if part else str(kind)): selection(run, kind, part) for kind, part in needed}
    return {role: [node, digests(node)] for role, node in nodes.items()}


def digests(node: Any) -> list[str]:
    """Digests of the assets that settings name, in the order of the settings; AssetError when one is absent."""
    packed = (text for text in _texts(node) if text.startswith(assets.PACKAGE_SCHEME))
    return [_asset_digest(uri) for uri in packed]


@functools.cache
def _asset_digest(uri: str) -> str:
    return assets.digest(assets.resolve(uri))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _texts(value)


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
