"""Datasets: independent of the number of workers, resumable, readable while they grow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pie_synthetic.dataset import ARRAYS, DatasetError, PortraitDataset, main, read_meta, render_dataset

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portraits") / "one"
    render_dataset(path, persons=5, shots_per_person=2, seed=3, size=SIZE, portraits_per_shard=4)
    return path


def contents(dataset: PortraitDataset) -> list[np.ndarray]:
    every = np.arange(len(dataset))
    return [getattr(dataset, name)(every) for name in ARRAYS]


def test_counts_and_types(folder: Path) -> None:
    dataset = PortraitDataset(folder)
    assert dataset.complete
    assert len(dataset) == 10
    images, theta, landmarks, regions, person = contents(dataset)
    assert images.shape == (10, SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    assert theta.dtype == np.float32
    assert landmarks.shape == (10, 66, 2)
    assert regions.shape == (10, SIZE, SIZE)
    assert person.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_shots_share_the_person_only(folder: Path) -> None:
    from pie_synthetic.face import face_model

    theta = PortraitDataset(folder).theta([0, 1])
    layout = face_model().layout
    assert np.array_equal(theta[0, layout.slice("identity")], theta[1, layout.slice("identity")])
    assert np.array_equal(theta[0, layout.slice("albedo")], theta[1, layout.slice("albedo")])
    assert not np.allclose(theta[0, layout.slice("rotation")], theta[1, layout.slice("rotation")])


def test_two_workers_write_the_same(folder: Path, tmp_path: Path) -> None:
    render_dataset(tmp_path / "two", 5, 2, seed=3, size=SIZE, workers=2, portraits_per_shard=4)
    second = PortraitDataset(tmp_path / "two")
    for a, b in zip(contents(PortraitDataset(folder)), contents(second), strict=True):
        assert np.array_equal(a, b)


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
    assert main([str(target), "--persons", "1", "--shots", "1", "--seed", "9", "--size", "16"]) == 0
    assert read_meta(target).seed == 9
    assert len(PortraitDataset(target)) == 1
