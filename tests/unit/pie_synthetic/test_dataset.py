"""Datasets: independent of the number of workers, resumable, readable while they grow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pie_synthetic.dataset import (
    ARRAYS,
    EDIT_ARRAYS,
    EDITED_BLOCKS,
    DatasetError,
    PortraitDataset,
    main,
    read_meta,
    render_dataset,
)

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portraits") / "one"
    render_dataset(path, persons=5, shots_per_person=2, seed=3, size=SIZE, portraits_per_shard=4)
    return path


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same persons and shots, with edits."""
    path = tmp_path_factory.mktemp("portraits") / "edited"
    render_dataset(path, 5, 2, seed=3, size=SIZE, portraits_per_shard=4, edits=True)
    return path


def contents(dataset: PortraitDataset) -> list[np.ndarray]:
    every = np.arange(len(dataset))
    return [getattr(dataset, name)(every) for name in (*ARRAYS, *EDIT_ARRAYS)]


def test_counts_and_types(folder: Path) -> None:
    dataset = PortraitDataset(folder)
    assert dataset.complete
    assert len(dataset) == 10
    images, theta, landmarks, regions, person, base, block = contents(dataset)
    assert images.shape == (10, SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    assert theta.dtype == np.float32
    assert landmarks.shape == (10, 66, 2)
    assert regions.shape == (10, SIZE, SIZE)
    assert person.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert base.tolist() == [-1] * 10
    assert block.tolist() == [0] * 10


def test_shots_share_the_person_only(folder: Path) -> None:
    from pie_synthetic.model import face_model

    theta = PortraitDataset(folder).theta([0, 1])
    layout = face_model().layout
    assert np.array_equal(theta[0, layout.slice("identity")], theta[1, layout.slice("identity")])
    assert np.array_equal(theta[0, layout.slice("albedo")], theta[1, layout.slice("albedo")])
    assert not np.allclose(theta[0, layout.slice("rotation")], theta[1, layout.slice("rotation")])


def test_edits_differ_from_the_first_shot_in_one_block(edited: Path) -> None:
    from pie_synthetic.model import face_model

    dataset = PortraitDataset(edited)
    layout = face_model().layout
    assert (len(dataset), dataset.meta.portraits, dataset.complete) == (25, 25, True)
    for name in EDITED_BLOCKS:
        bases, edits = dataset.edits(name)
        assert bases.tolist() == [0, 5, 10, 15, 20]
        assert np.array_equal(dataset.person(bases), dataset.person(edits))
        differs = dataset.theta(bases) != dataset.theta(edits)
        assert differs[:, layout.slice(name)].any(1).all()
        differs[:, layout.slice(name)] = False
        assert not differs.any()
        # corners of the pictures show the surroundings, which stay
        assert np.array_equal(dataset.images(bases)[:, :3, :3], dataset.images(edits)[:, :3, :3])


def test_shots_are_the_same_with_and_without_edits(folder: Path, edited: Path) -> None:
    plain, more = PortraitDataset(folder), PortraitDataset(edited)
    shots = np.flatnonzero(more.base(np.arange(len(more))) < 0)
    for name in ARRAYS:
        assert np.array_equal(getattr(more, name)(shots), getattr(plain, name)(np.arange(10)))


def test_two_workers_write_the_same(edited: Path, tmp_path: Path) -> None:
    render_dataset(tmp_path / "two", 5, 2, seed=3, size=SIZE, workers=2, portraits_per_shard=4, edits=True)
    one, two = PortraitDataset(edited), PortraitDataset(tmp_path / "two")
    every = np.arange(len(one))
    for name in ("theta", "person", *EDIT_ARRAYS):
        assert np.array_equal(getattr(one, name)(every), getattr(two, name)(every)), name
    # Workers have one thread each, this process may have more: sums are rounded otherwise, and are stored in bytes.
    difference = np.abs(one.images(every).astype(int) - two.images(every).astype(int))
    assert (difference > 1).mean() < 1e-3
    assert (one.regions(every) != two.regions(every)).mean() < 1e-3
    np.testing.assert_allclose(one.landmarks(every), two.landmarks(every), atol=1e-3)


def test_edits_keep_their_bases_when_shards_come_out_of_order(edited: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(edited, partial)
    first = partial / "shards" / "00000"
    first.rename(tmp_path / "later")
    dataset = PortraitDataset(partial)
    assert dataset.edits("rotation")[0].tolist() == [0, 5, 10]
    (tmp_path / "later").rename(first)
    dataset.refresh()
    bases, edits = dataset.edits("rotation")
    assert bases.tolist() == [0, 5, 10, 15, 20]
    assert np.array_equal(dataset.person(bases), dataset.person(edits))


def test_a_dataset_from_before_there_were_edits(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    for path in [*old.glob("shards/*/base.npy"), *old.glob("shards/*/block.npy")]:
        path.unlink()
    meta = json.loads((old / "meta.json").read_text())
    del meta["edits"]
    (old / "meta.json").write_text(json.dumps(meta))
    for a, b in zip(contents(PortraitDataset(folder)), contents(PortraitDataset(old)), strict=True):
        assert np.array_equal(a, b)


def test_edits_that_are_not_there(folder: Path, edited: Path) -> None:
    with pytest.raises(DatasetError, match="edits=true"):
        PortraitDataset(folder).edits("rotation")
    with pytest.raises(DatasetError, match="identity"):
        PortraitDataset(edited).edits("identity")


def test_reading_and_resuming_a_partial_dataset(folder: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(folder, partial)
    shutil.rmtree(partial / "shards" / "00000")
    (partial / "shards" / ".00000.1.part").mkdir()
    dataset = PortraitDataset(partial)
    assert not dataset.complete
    assert len(dataset) == 6
    before = dataset.images([0, 5])
    render_dataset(partial, 5, 2, seed=3, size=SIZE, portraits_per_shard=4)
    assert dataset.refresh() == 10
    assert np.array_equal(dataset.images([0, 5]), before)
    for a, b in zip(contents(PortraitDataset(folder)), contents(PortraitDataset(partial)), strict=True):
        assert np.array_equal(a, b)


def test_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="other settings"):
        render_dataset(folder, 5, 2, seed=4, size=SIZE, portraits_per_shard=4)


def test_errors_for_readers(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"meta\.json"):
        PortraitDataset(tmp_path)
    with pytest.raises(DatasetError, match="index"):
        PortraitDataset(folder).images([10])


def test_command_line(tmp_path: Path) -> None:
    target = tmp_path / "cli"
    assert (
        main([str(target), "--persons", "1", "--shots", "1", "--seed", "9", "--size", "16", "--edits"]) == 0
    )
    assert read_meta(target).seed == 9
    assert len(PortraitDataset(target)) == 4
