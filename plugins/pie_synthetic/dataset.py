"""Datasets of rendered portraits: shards on disk, written by several processes, read while still growing.

    python -m pie_synthetic.dataset FOLDER --persons 5000 --shots 4 --seed 1 --workers 2 --edits

A folder holds `meta.json` and `shards/NNNNN/` with `images.npy` (n, S, S, 3) uint8, `theta.npy` (n, P)
float32, `landmarks.npy` (n, 66, 2) float32 pixels, `regions.npy` (n, S, S) uint8, `person.npy` (n,) int64,
`base.npy` (n,) int64 and `block.npy` (n,) uint8. A shard appears under its name only when complete. Every person has
a random generator of their own, seeded by the dataset's seed and the person's number, and every portrait is rendered
alone, so that the contents depend neither on the number of workers nor on the order in which they finish.

A person's independent shots come first. With edits they are followed by three portraits that differ from the
person's shot 0 in exactly one block of θ each, `EDITED_BLOCKS`, as it is in another draw for the same person; hair,
clothes and surroundings stay. `base` is the row, within the shard, of the portrait that was edited, -1 for a shot;
`block` is 0 for a shot, otherwise one more than the block's place in `EDITED_BLOCKS`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pie_framework.errors import PieError

if TYPE_CHECKING:
    from pie_synthetic.scene import Scene

ARRAYS = ("images", "theta", "landmarks", "regions", "person")
#: Arrays that say what was edited; datasets written before there were edits have none.
EDIT_ARRAYS = ("base", "block")
#: The blocks of θ that are edited, in this order.
EDITED_BLOCKS = ("rotation", "expression", "illumination")
#: Raised whenever the same seed gives different portraits.
WORLD_VERSION = 2
PORTRAITS_PER_SHARD = 500


class DatasetError(PieError):
    """A dataset folder cannot be written or read."""


@dataclass(frozen=True)
class DatasetMeta:
    """What a dataset folder holds, as written in its meta.json; `edits` says whether there are true edits."""

    persons: int
    shots_per_person: int
    seed: int
    size: int
    persons_per_shard: int
    world_version: int = WORLD_VERSION
    edits: bool = False

    @property
    def portraits_per_person(self) -> int:
        """Shots and edits of one person."""
        return self.shots_per_person + len(EDITED_BLOCKS) * self.edits

    @property
    def portraits(self) -> int:
        """Number of portraits once complete."""
        return self.persons * self.portraits_per_person

    @property
    def shards(self) -> int:
        """Number of shards once complete."""
        return -(-self.persons // self.persons_per_shard)


def render_dataset(
    folder: str | os.PathLike[str],
    persons: int,
    shots_per_person: int,
    seed: int,
    size: int = 128,
    workers: int = 1,
    portraits_per_shard: int = PORTRAITS_PER_SHARD,
    edits: bool = False,
) -> DatasetMeta:
    """Render the shards of a dataset that are not there yet.

    Args:
        folder: where to write; may hold an interrupted run of the same settings, which is continued.
        persons: number of different persons.
        shots_per_person: portraits of each person, with differing pose, expression, light and surroundings.
        seed: of the whole dataset; use different seeds for training and held-out data.
        size: height and width of the portraits in pixels.
        workers: number of single-threaded processes; 1 renders in this process.
        portraits_per_shard: about how many shots, not counting edits, a shard holds.
        edits: whether to add the true edits of every person's shot 0, one for each of `EDITED_BLOCKS`.

    Raises:
        DatasetError: if the counts are not positive or the folder holds a dataset of other settings.
    """
    if min(persons, shots_per_person, size, workers, portraits_per_shard) < 1:
        raise DatasetError("persons, shots, size, workers and portraits per shard must all be at least 1")
    root = Path(folder)
    persons_per_shard = min(max(1, portraits_per_shard // shots_per_person), persons)
    meta = DatasetMeta(persons, shots_per_person, seed, size, persons_per_shard, edits=edits)
    _claim(root, meta)
    jobs = [(str(root), meta, s) for s in range(meta.shards) if not _shard_path(root, s).is_dir()]
    if workers == 1:
        for job in jobs:
            _render_shard(job)
        return meta
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_single_thread) as pool:
        for _ in pool.imap_unordered(_render_shard, jobs):
            pass
    return meta


def _claim(root: Path, meta: DatasetMeta) -> None:
    """Write meta.json, or check that the one there says the same."""
    (root / "shards").mkdir(parents=True, exist_ok=True)
    path = root / "meta.json"
    if path.exists():
        found = read_meta(root)
        if found != meta:
            raise DatasetError(
                f"{root} holds a dataset of other settings ({found}); asked for {meta}. Choose another folder"
            )
        return
    temporary = path.with_suffix(".json.part")
    temporary.write_text(json.dumps(asdict(meta), indent=2) + "\n")
    temporary.replace(path)


def read_meta(folder: str | os.PathLike[str]) -> DatasetMeta:
    """The settings of the dataset in `folder`; DatasetError if there is none."""
    path = Path(folder) / "meta.json"
    try:
        return DatasetMeta(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise DatasetError(f"{folder} holds no portrait dataset (no meta.json); render one first") from None
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as a dataset's settings: {error}") from error


def _shard_path(root: Path, shard: int) -> Path:
    return root / "shards" / f"{shard:05d}"


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)


def person_scenes(meta: DatasetMeta, number: int) -> list[Scene]:
    """The scenes of one person: the independent shots and, where the dataset has them, the edits of shot 0."""
    from pie_synthetic.scene import Scene, sample_person, sample_shot

    rng = np.random.default_rng([meta.seed, number])
    person = sample_person(rng)
    shots = [sample_shot(rng, person) for _ in range(meta.shots_per_person)]
    if meta.edits:
        shots += [
            replace(shots[0], **{block: getattr(sample_shot(rng, person), block)}) for block in EDITED_BLOCKS
        ]
    return [Scene(person, shot) for shot in shots]


def _render_shard(job: tuple[str, DatasetMeta, int]) -> int:
    """Render one shard into a temporary folder and move it into place; returns the shard's number."""
    from pie_synthetic.portrait import render_portraits

    folder, meta, shard = job
    first = shard * meta.persons_per_shard
    numbers = range(first, min(first + meta.persons_per_shard, meta.persons))
    place = np.tile(np.arange(meta.portraits_per_person), len(numbers))
    shot0 = np.repeat(np.arange(len(numbers)) * meta.portraits_per_person, meta.portraits_per_person)
    is_edit = place >= meta.shots_per_person
    rows: dict[str, NDArray[Any]] = {
        "person": np.repeat(np.asarray(numbers, dtype=np.int64), meta.portraits_per_person),
        "base": np.where(is_edit, shot0, -1).astype(np.int64),
        "block": np.where(is_edit, place - meta.shots_per_person + 1, 0).astype(np.uint8),
    }
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ARRAYS[:4]}
    for scene in (scene for number in numbers for scene in person_scenes(meta, number)):
        portraits = render_portraits([scene], size=meta.size)
        images = ((portraits.images + 1.0) * 127.5).round().clamp(0, 255).byte()
        parts["images"].append(images.permute(0, 2, 3, 1).numpy())
        parts["theta"].append(portraits.theta.float().numpy())
        parts["landmarks"].append(portraits.landmarks.float().numpy())
        parts["regions"].append(portraits.regions.numpy())
    temporary = Path(folder) / "shards" / f".{shard:05d}.{os.getpid()}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, arrays in parts.items():
        np.save(temporary / f"{name}.npy", np.concatenate(arrays))
    for name, array in rows.items():
        np.save(temporary / f"{name}.npy", array)
    temporary.replace(_shard_path(Path(folder), shard))
    return shard


class PortraitDataset:
    """The finished shards of a dataset folder as one memory-mapped dataset.

    Usable while the dataset is still being rendered: `refresh` appends the shards finished since, so that
    indices already in use keep their meaning in this reader.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.meta = read_meta(folder)
        self._shards: list[int] = []
        self._maps: dict[str, list[NDArray[Any]]] = {name: [] for name in (*ARRAYS, *EDIT_ARRAYS)}
        self._ends = np.zeros(0, dtype=np.int64)
        self.refresh()

    def __len__(self) -> int:
        """Number of portraits ready."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def complete(self) -> bool:
        """Whether every shard has been opened."""
        return len(self._shards) == self.meta.shards

    def refresh(self) -> int:
        """Open the shards finished since the last look; returns the number of portraits now ready."""
        names = sorted(p.name for p in (self.folder / "shards").iterdir() if p.name.isdigit())
        for name in names:
            shard = int(name)
            if shard in self._shards:
                continue
            for array in ARRAYS:
                path = self.folder / "shards" / name / f"{array}.npy"
                self._maps[array].append(np.load(path, mmap_mode="r"))
            start, count = sum(map(len, self._maps["base"])), len(self._maps["person"][-1])
            base, block = self._load_edits(self.folder / "shards" / name, count)
            self._maps["base"].append(np.where(base < 0, -1, base + start))
            self._maps["block"].append(block)
            self._shards.append(shard)
        self._ends = np.cumsum([len(m) for m in self._maps["person"]], dtype=np.int64)
        return len(self)

    def _load_edits(self, shard: Path, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """A shard's `base` and `block`; without edits where it has none of these arrays."""
        if not (shard / "base.npy").exists():
            return np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.uint8)
        return np.load(shard / "base.npy"), np.load(shard / "block.npy")

    def edits(self, block: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The true edits of one block that are ready.

        Args:
            block: one of `EDITED_BLOCKS`.

        Returns:
            Indices (n,) of the portraits as they were and (n,) of the same portraits with that block changed.

        Raises:
            DatasetError: the dataset was rendered without edits, or there are none of this block.
        """
        if block not in EDITED_BLOCKS:
            raise DatasetError(
                f"no edits of '{block}' are rendered; choose one of {', '.join(EDITED_BLOCKS)}"
            )
        if not self.meta.edits:
            raise DatasetError(f"{self.folder} was rendered without edits; render one with edits=true")
        if not len(self):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        edited = np.flatnonzero(np.concatenate(self._maps["block"]) == EDITED_BLOCKS.index(block) + 1)
        return self.base(edited), edited.astype(np.int64)

    def images(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, S, S, 3) uint8 RGB."""
        return self._gather("images", indices)

    def theta(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """(n, P) float32 coefficients in the procedural face model's layout."""
        return self._gather("theta", indices)

    def landmarks(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """(n, 66, 2) float32 pixel coordinates, x right and y down."""
        return self._gather("landmarks", indices)

    def regions(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, S, S) uint8 region labels, see `pie_synthetic.portrait.Region`."""
        return self._gather("regions", indices)

    def person(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        """(n,) int64 number of the person shown."""
        return self._gather("person", indices)

    def base(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        """(n,) int64 index of the portrait that was edited, -1 for an independent shot."""
        return self._gather("base", indices)

    def block(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n,) uint8: 0 for a shot, otherwise one more than the edited block's place in `EDITED_BLOCKS`."""
        return self._gather("block", indices)

    def _gather(self, name: str, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[Any]:
        wanted = np.asarray(indices, dtype=np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise DatasetError(f"index outside the {len(self)} portraits that are ready in {self.folder}")
        maps = self._maps[name]
        if not maps:
            raise DatasetError(f"no shard of {self.folder} is finished yet; wait and call refresh()")
        result = np.empty((len(wanted), *maps[0].shape[1:]), dtype=maps[0].dtype)
        shards = np.searchsorted(self._ends, wanted, side="right")
        for shard in np.unique(shards):
            rows = np.flatnonzero(shards == shard)
            begin = 0 if shard == 0 else self._ends[shard - 1]
            result[rows] = maps[shard][wanted[rows] - begin]
        return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Render a dataset from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="pie_synthetic.dataset", description="Render a portrait dataset.")
    parser.add_argument("folder", help="where to write (an interrupted run is continued)")
    parser.add_argument("--persons", type=int, required=True, help="number of persons")
    parser.add_argument("--shots", type=int, default=4, help="portraits of each person")
    parser.add_argument("--seed", type=int, required=True, help="different for training and held-out data")
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--workers", type=int, default=1, help="single-threaded processes")
    parser.add_argument("--edits", action="store_true", help="add true edits of each person's first shot")
    options = parser.parse_args(arguments)
    if options.workers == 1:
        _single_thread()
    meta = render_dataset(
        options.folder,
        options.persons,
        options.shots,
        options.seed,
        options.size,
        options.workers,
        edits=options.edits,
    )
    print(f"{meta.portraits} portraits in {meta.shards} shards: {options.folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
