"""What there is to do and what is done: the jobs of a bench and the files they leave. Imports no torch.

OUT/bench.json                       what the bench is; guards against rows of different settings in one folder
OUT/rows/METHOD.SEED.CHUNK.jsonl     what was measured, written when the chunk is complete
OUT/latents/DIGEST.SEED.CHUNK.safetensors   embeddings, shared by the methods that differ only in how they edit
OUT/pictures/METHOD.SEED/PORTRAIT.EDIT.png, OUT/pictures/truth/PORTRAIT.EDIT.png
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_bench import methods as bench_methods
from pie_bench.methods import Method
from pie_bench.settings import ROOT, BenchConfig
from pie_framework.composition.schema import RunConfig
from pie_framework.errors import ConfigError, PieError
from pie_framework.files.io import jsonable, read_json, write_json
from pie_framework.plugins import Registry
from pie_framework.version import __version__

MANIFEST = f"{ROOT}.json"
#: The folder of the rows.
ROWS = "rows"
RECORDED = ("torch", "numpy")
#: Settings that every row depends on.
WORLD = ("portraits", "portraits_seed", "scenes", "chunk", "edits", "judge", "pictures")


@dataclass(frozen=True)
class Job:
    """Some portraits for methods that share their embeddings.

    Attributes:
        methods: names.
        seed: of the methods.
        chunk: number of the group of portraits.
    """

    methods: tuple[str, ...]
    seed: int
    chunk: int

    @property
    def work(self) -> float:
        """How much of the bench it is; all jobs count alike."""
        return 1.0

    def __str__(self) -> str:
        return f"{', '.join(self.methods)}: seed {self.seed}, portraits {self.chunk}"


def rows_file(folder: Path, method: str, seed: int, chunk: int) -> Path:
    """Where the rows of a method's chunk are."""
    return folder / ROWS / f"{method}.{seed}.{chunk}.jsonl"


def latent_file(folder: Path, method: Method, seed: int, chunk: int) -> Path:
    """Where the latents of a chunk are."""
    return folder / "latents" / f"{method.embedding}.{seed}.{chunk}.safetensors"


def picture_file(folder: Path, of: str, portrait: int, edit: str) -> Path:
    """Where a picture is; `of` is METHOD.SEED or "truth"."""
    return folder / "pictures" / of / f"{portrait}.{edit}.png"


@dataclass(frozen=True)
class Plan:
    """A bench that was checked and can be run.

    Attributes:
        bench: its settings.
        methods: in their order.
        judge: the composed run of the judging networks.
    """

    bench: BenchConfig
    methods: tuple[Method, ...]
    judge: RunConfig

    @property
    def folder(self) -> Path:
        return Path(self.bench.outputs)

    def jobs(self) -> list[Job]:
        """All jobs: portraits after portraits, so that what is there when it is interrupted compares the methods."""
        shared: dict[str, list[str]] = {}
        for method in self.methods:
            shared.setdefault(method.embedding, []).append(method.name)
        return [
            Job(tuple(names), seed, chunk)
            for chunk in range(self.bench.chunks)
            for seed in self.bench.seeds
            for names in shared.values()
        ]

    def missing(self) -> list[tuple[int, Job]]:
        """The jobs that are not done, with their numbers."""
        return [
            (number, job)
            for number, job in enumerate(self.jobs())
            if not all(rows_file(self.folder, n, job.seed, job.chunk).is_file() for n in job.methods)
        ]

    def world(self) -> dict[str, Any]:
        """Plain values of all that every row depends on."""
        values = dataclasses.asdict(self.bench)
        world = {key: values[key] for key in WORLD}
        nodes = [self.judge.components.get(kind) for kind in ("encoder", "face_model", "features")]
        world["judge"] = [*self.bench.judge, *bench_methods.digests(nodes)]
        plain: dict[str, Any] = jsonable(world)
        return plain


def make(bench: BenchConfig, registry: Registry) -> Plan:
    """Compose everything the bench needs; PieError names what is wrong before anything runs."""
    try:
        judge = bench_methods.compose_run([*bench.judge, f"device={bench.device}"], registry)
    except PieError as error:
        raise ConfigError(f"judge: {error.message}", error.hint) from error
    return Plan(bench, tuple(bench_methods.load(bench, registry)), judge)


def open_folder(plan: Plan, blocks: Mapping[str, str]) -> None:
    """Write what the bench is, or check that the folder holds the same one.

    Args:
        plan: the bench.
        blocks: the block that each edit touches.

    Raises:
        ConfigError: the folder holds rows of other settings, or of a method that is another now.
    """
    path = plan.folder / MANIFEST
    found = read_json(path) if path.is_file() else {}
    world = plan.world()
    elsewhere = "Choose another folder with outputs=FOLDER, or remove that one."
    for key, value in found.get("world", {}).items():
        if value != world.get(key):
            raise ConfigError(
                f"'{plan.folder}' holds a bench with other settings: {key} was {_short(value)}", elsewhere
            )
    before: dict[str, Any] = found.get("methods", {})
    for method in plan.methods:
        if method.name in before and before[method.name]["fingerprint"] != method.fingerprint:
            raise ConfigError(
                f"'{plan.folder}' holds rows of another '{method.name}': its settings or weights have changed",
                elsewhere,
            )
    kept = ("summary", "overrides", "edits", "fingerprint")
    described = {method.name: {key: getattr(method, key) for key in kept} for method in plan.methods}
    versions = {name: importlib.metadata.version(name) for name in RECORDED}
    write_json(
        path,
        {
            "set": plan.bench.set,
            "world": world,
            "methods": {**before, **described},
            "edits": {n: {"controls": words, "block": blocks[n]} for n, words in plan.bench.edits.items()},
            "portraits": plan.bench.portraits,
            "pictures": plan.bench.pictures,
            "seeds": sorted({*found.get("seeds", []), *plan.bench.seeds}),
            "workers": plan.bench.workers,
            "seconds": found.get("seconds", 0.0),
            "versions": {"pie-framework": __version__, "python": platform.python_version(), **versions},
            "machine": f"{platform.system()} {platform.machine()}",
        },
    )


def add_seconds(folder: Path, seconds: float) -> None:
    """Note how long the bench took, all its starts together."""
    path = folder / MANIFEST
    about = read_json(path)
    write_json(path, {**about, "seconds": about.get("seconds", 0.0) + seconds})


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
