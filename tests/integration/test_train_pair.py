"""Encoder and rigs of a foreign generator, from its own samples, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pie_framework.cli.main import main
from pie_framework.composition.build import Builder
from pie_framework.composition.compose import compose
from pie_framework.errors import ComponentError
from pie_stylegan.io import save_generator
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config


def generator(path: Path, resolution: int) -> str:
    channels = (16,) * (resolution.bit_length() - 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_generator(StyleGAN2(StyleGAN2Config(resolution, 16, 16, channels, 2)), path)
    return f"generator.weights={path}"


def test_encoder_and_rigs_of_a_foreign_generator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [generator(tmp_path / "g32.safetensors", 32), "device=cpu"]
    common = ["steps=2", "measure_every=2", "batch=2", "render_size=16"]
    tiny = [
        "architecture.input_size=32",
        "architecture.widths=[4,8,8]",
        "samples.pool=8",
        "measure_portraits=4",
    ]
    assert main(["train", "encoder", *small, *common, *tiny, f"output={tmp_path / 'encoder'}"]) == 0
    said = capsys.readouterr().out
    assert "step 2 " in said
    assert "the mean face" in said
    trained = f"encoder.weights={tmp_path / 'encoder' / 'encoder.safetensors'}"
    few = [
        "pool=32",
        "measure_latents=2",
        "mlp_steps=2",
        "metric_samples=1",
        "image_batch=1",
        "image_from=0.5",
    ]
    few += ["blocks=[rotation,illumination]", "weights.recognition=0", f"output={tmp_path / 'rig'}"]
    assert main(["train", "rig", *small, trained, *common, *few]) == 0
    rigs = [
        f"rig.{block}.weights={tmp_path / 'rig' / f'rig_{block}.safetensors'}"
        for block in ("rotation", "illumination")
    ]
    pair = [trained, *rigs, "blocks=[rotation,illumination]", "init=mean", "inverter=none", "device=cpu"]
    networks = Builder(compose([small[0], *pair])).networks(edits=True)
    assert set(networks.rigs) == {"rotation", "illumination"}
    other = generator(tmp_path / "g16.safetensors", 16)
    with pytest.raises(ComponentError, match="resolution 32, not 16"):
        Builder(compose([other, *pair])).networks(edits=True)
