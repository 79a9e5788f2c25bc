"""Checks of a declaration: what its plugin imports, whether its settings survive a configuration. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pie_framework.api import Component
from pie_framework.assets import PACKAGE_SCHEME, resolve
from pie_framework.cli.plugins.authoring.outcomes import Outcome, Status
from pie_framework.cli.plugins.authoring.subjects import Subject
from pie_framework.errors import AssetError, PieError
from pie_framework.plugins import Provenance, Registry
from pie_framework.plugins.discovery import SLOW_IMPORT
from pie_framework.settings import defaults, merge

IMPORT, OFFERS = "import of the plugin", "what the plugin offers"

#: Measures the import of a module in a process of its own, in which the contract is there already.
_PROBE = """
import importlib, json, sys, time
import pie_framework.api, pie_framework.api.events, pie_framework.hookspecs
start = time.perf_counter()
importlib.import_module(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - start, "torch": "torch" in sys.modules}))
"""


def check(subject: Subject, registry: Registry) -> Iterator[Outcome]:
    """The outcomes for a subject's plugin and, where it is a component, its declaration, settings and files."""
    yield imported(subject.module)
    yield from offered(subject.origin, registry)
    if isinstance(subject.item, Component):
        yield round_trip(subject.item)
        yield documented(subject.item)
        yield from packaged(subject.item)


def imported(module: str) -> Outcome:
    """Whether importing the plugin's module imports torch, and how long it takes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, module], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it fails"])[-1]
        return Outcome(IMPORT, Status.FAIL, f"'{module}' cannot be imported: {last}")
    loaded = json.loads(done.stdout.strip().splitlines()[-1])
    return judged(module, loaded["seconds"], loaded["torch"])


def judged(module: str, seconds: float, torch: bool) -> Outcome:
    """What is said of an import that took so long, with torch or without."""
    if torch:
        return Outcome(
            IMPORT, Status.FAIL, f"'{module}' imports torch, so that listing plugins takes seconds"
        )
    if seconds > SLOW_IMPORT:
        return Outcome(
            IMPORT, Status.WARN, f"'{module}' takes {seconds:.1f} s, and every command waits for it"
        )
    return Outcome(IMPORT, Status.PASS, f"{1000 * seconds:.0f} ms, without torch")


def offered(origin: Provenance, registry: Registry) -> Iterator[Outcome]:
    """One outcome for each thing that discovery found wrong with the plugin: a hook, a declaration, a name, a file."""
    problems = [problem for problem in registry.problems if problem.provenance == origin]
    for problem in problems:
        yield Outcome(OFFERS, Status.WARN if problem.mild else Status.FAIL, problem.message)
    if not problems:
        yield Outcome(OFFERS, Status.PASS)


def packaged(component: Component) -> Iterator[Outcome]:
    """Whether the declared files in packages are there, and are those whose digest is declared."""
    check = "declared files"
    files = [asset for asset in component.assets if str(asset.uri).startswith(PACKAGE_SCHEME)]
    for asset in files:
        try:
            resolve(asset.uri, asset.sha256)
        except AssetError as error:
            yield Outcome(check, Status.FAIL, str(error), error)
            return
    if files:
        compared = sum(asset.sha256 is not None for asset in files)
        yield Outcome(check, Status.PASS, f"{len(files)} in packages, {compared} with a digest")


def missing(schema: type) -> list[str]:
    """Settings that have no default."""
    return [
        field.name
        for field in dataclasses.fields(schema)
        if (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)
        or field.default == MISSING
    ]


def round_trip(component: Component) -> Outcome:
    """Whether the default settings come back from a configuration file as they were."""
    check, schema = "settings round trip", component.config
    left = missing(schema)
    if left:
        return Outcome(check, Status.SKIP, f"must be given: {', '.join(left)}")
    try:
        made = schema()
        plain: Any = OmegaConf.to_container(
            OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(defaults(schema))))
        )
        back: Any = merge(schema, plain)
    except (PieError, OmegaConfBaseException) as error:
        return Outcome(check, Status.FAIL, " ".join(str(error).split()), error)
    except Exception as error:
        return Outcome(check, Status.FAIL, f"{type(error).__name__}: {' '.join(str(error).split())}", error)
    changed = [f.name for f in dataclasses.fields(schema) if getattr(made, f.name) != getattr(back, f.name)]
    if changed:
        return Outcome(check, Status.FAIL, f"comes back as something else: {', '.join(changed)}")
    return Outcome(check, Status.PASS, f"{len(dataclasses.fields(schema))} settings")


def documented(component: Component) -> Outcome:
    """Whether the docstring of the settings explains each of them."""
    text = component.config.__doc__ or ""
    left = [f.name for f in dataclasses.fields(component.config) if not re.search(rf"\b{f.name}\b", text)]
    if text.startswith(f"{component.config.__name__}("):  # the one that dataclasses write
        left = [f.name for f in dataclasses.fields(component.config)]
    if left:
        return Outcome("settings documented", Status.WARN, f"not in the docstring: {', '.join(left)}")
    return Outcome("settings documented", Status.PASS)
