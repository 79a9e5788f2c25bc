"""The plugin declares without torch; what it builds fulfils the generator's contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.parity import GOLDEN
from pie_framework.api import BuildContext, Generator, Kind
from pie_framework.errors import ConfigError
from pie_framework.settings import merge
from pie_stylegan import component as factories
from pie_stylegan.component import build
from pie_stylegan.io import save_generator
from pie_stylegan.plugin import pie_components
from pie_stylegan.settings import GeneratorConfig, GeneratorTraining, InverterTraining
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config


def test_declaring_imports_no_torch() -> None:
    code = "import sys, pie_stylegan.plugin as p; p.pie_components(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_declared_targets_exist() -> None:
    for component in pie_components():
        assert callable(component.load())


@pytest.mark.parametrize("features", ["same", "bfloat16"])
def test_built_generator_is_frozen_and_fulfils_the_contract(tmp_path: Path, features: str) -> None:
    torch.manual_seed(0)
    config = StyleGAN2Config(resolution=8, latent_dim=6, prior_dim=6, channels=(4, 4))
    save_generator(StyleGAN2(config), tmp_path / "g.safetensors")
    context = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float64, asset=str)
    generator = build(GeneratorConfig(str(tmp_path / "g.safetensors"), features), context)  # type: ignore[arg-type]
    assert isinstance(generator, Generator)
    assert not any(p.requires_grad for p in generator.parameters())
    image = generator.synthesize(generator.sample(1, torch.Generator().manual_seed(0)))
    assert (image.dtype, image.shape) == (torch.float64, (1, 3, 8, 8))


def test_foreign_files_truncation_and_classes(tmp_path: Path) -> None:
    context = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32, asset=str)

    def made(path: Path, **settings: Any) -> StyleGAN2:
        return build(GeneratorConfig(str(path), **settings), context)  # type: ignore[arg-type]

    golden = made(GOLDEN / "stylegan2" / "ada_skip_64.pkl", truncation=0.5, truncation_cutoff=4)
    arrays = np.load(GOLDEN / "stylegan2" / "ada_skip_64.npz")
    rng = torch.Generator().manual_seed(3)
    z = golden.sample_z(2, torch.Generator().manual_seed(3))
    expected = golden.map(z, truncation=0.5, cutoff=4)
    assert torch.equal(golden.sample(2, rng), expected)
    assert not torch.equal(expected, golden.map(z))
    assert golden.map(torch.from_numpy(arrays["z"])).shape == arrays["ws"].shape
    with pytest.raises(ConfigError, match="not conditional"):
        made(GOLDEN / "stylegan2" / "ada_skip_64.pkl", class_index=0)
    config = StyleGAN2Config(resolution=8, latent_dim=6, prior_dim=6, channels=(4, 4), classes=3)
    save_generator(StyleGAN2(config), tmp_path / "c.safetensors")
    with pytest.raises(ConfigError, match=r"class_index to 0 \.\.\. 2"):
        made(tmp_path / "c.safetensors")
    first, second = (made(tmp_path / "c.safetensors", class_index=k) for k in (0, 1))
    z = torch.randn(1, 6)
    assert not torch.equal(first.map(z), second.map(z))
    for wrong in (
        {"truncation": -1},
        {"truncation": 2.5},
        {"truncation_cutoff": -1},
        {"truncation_cutoff": True},
    ):
        with pytest.raises(ConfigError, match=r"generator\.truncation\w*: \S+ is"):
            merge(GeneratorConfig, wrong, "generator")


def test_unknown_feature_dtype_is_refused() -> None:
    with pytest.raises(ConfigError, match="bfloat16"):
        merge(GeneratorConfig, {"features": "half"})


class Moved(torch.nn.Identity):
    """A component that says where it was sent."""

    where: object = None

    def to(self, *where: Any, **others: Any) -> Any:
        self.where = where
        return self


def test_the_recipes_for_the_processor_take_their_components_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class OnGpu(BuildContext):
        def get(self, kind: Kind, name: str | None = None) -> Moved:
            return Moved()

        def asset(self, uri: str) -> str:
            return uri

    taken: list[Any] = []
    monkeypatch.setattr(
        factories, "train_generator", lambda config, report, phi, readers: taken.extend((phi, *readers))
    )
    monkeypatch.setattr(
        factories, "train_inverter", lambda config, g, report, phi, psi: taken.extend((phi, psi))
    )
    monkeypatch.setattr(factories, "load_generator", lambda path, compute_dtype: Moved(), raising=True)
    monkeypatch.setattr(Moved, "freeze", lambda self: self, raising=False)
    out = str(tmp_path / "out.safetensors")
    factories.train(GeneratorTraining(out=out, perceptual=1.0, reading=1.0), OnGpu())  # type: ignore[arg-type]
    factories.train_offsets(InverterTraining(out=out, perceptual=1.0, identity=1.0), OnGpu())  # type: ignore[arg-type]
    assert [part.where for part in taken] == [("cpu",)] * 5
