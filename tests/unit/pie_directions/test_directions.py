"""The linear editor: exact where θ is linear in w, conditional edits, weight files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pie_directions.directions import LinearEditor
from pie_directions.settings import LinearConfig
from pie_framework.api import Editor
from pie_framework.errors import AssetError, ConfigError, InputError
from pie_framework.testing.toys import TOY_LAYOUT, ToyGenerator, toy_networks
from pie_weights.files import write_weights

LAYERS, WIDTH = 4, TOY_LAYOUT.size


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_editor(conditional: bool = False, main: int = 4, width: int = WIDTH) -> LinearEditor:
    editor = LinearEditor(TOY_LAYOUT, width, conditional, main).double()
    editor.weight.copy_(rand(TOY_LAYOUT.size, width) / math.sqrt(width))
    editor.mean.copy_(rand(TOY_LAYOUT.size, seed=1))
    editor.scale.copy_(0.5 + rand(TOY_LAYOUT.size, seed=2).abs())
    editor.latent_mean.copy_(rand(width, seed=3))
    editor.latent_scale.fill_(1.7)
    return editor


def asked_for(editor: LinearEditor, block: str, seed: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, θ as the editor reads it, and θ' with another block."""
    latent = rand(3, LAYERS, editor.latent_dim, seed=4)
    before = editor.read(latent)
    other = rand(3, TOY_LAYOUT.size, seed=seed)
    return latent, before, TOY_LAYOUT.replace(before, other, [block])


def along(theta: Tensor, before: Tensor, asked: Tensor, block: str) -> Tensor:
    """Share of the change that was made, (B,)."""
    change, made = (TOY_LAYOUT.get(value - before, block) for value in (asked, theta))
    return (made * change).sum(dim=1) / change.square().sum(dim=1)


@pytest.mark.parametrize("block", TOY_LAYOUT.editable)
def test_the_attribute_changes_by_what_is_asked_along_its_normal(block: str) -> None:
    editor = random_editor()
    latent, before, asked = asked_for(editor, block)
    edited = editor.edit(latent, before, asked, block)
    torch.testing.assert_close(along(editor.read(edited), before, asked, block), torch.ones(3).double())
    moved = edited - latent
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), msg="all layers move alike")
    change = TOY_LAYOUT.get(asked - before, block)
    slopes = editor.weight[TOY_LAYOUT.slice(block)] * editor.scale[TOY_LAYOUT.slice(block), None]
    cosine = torch.cosine_similarity(moved[:, 0], change @ slopes)
    torch.testing.assert_close(cosine, torch.ones(3).double(), msg="the normal of the attribute")


def test_there_is_no_shorter_way() -> None:
    editor = random_editor()
    latent, before, asked = asked_for(editor, "rotation")
    moved = (editor.edit(latent, before, asked, "rotation") - latent)[:, 0]
    change = TOY_LAYOUT.get(asked - before, "rotation")
    slopes = editor.weight[TOY_LAYOUT.slice("rotation")] * editor.scale[TOY_LAYOUT.slice("rotation"), None]
    attribute = change / change.norm(dim=1, keepdim=True) @ slopes / editor.latent_scale
    torch.testing.assert_close(moved.norm(dim=1), change.norm(dim=1) / attribute.norm(dim=1))


@pytest.mark.parametrize("block", TOY_LAYOUT.editable)
def test_conditional_edits_leave_the_main_directions_of_the_others(block: str) -> None:
    width = 200
    editor = random_editor(conditional=True, main=2, width=width)
    latent, before, asked = asked_for(editor, block)
    edited = editor.edit(latent, before, asked, block)
    torch.testing.assert_close(along(editor.read(edited), before, asked, block), torch.ones(3).double())
    moved = (edited - latent)[:, 0]
    for other in TOY_LAYOUT.blocks:
        if other.name != block:
            rows = editor.weight[TOY_LAYOUT.slice(other.name)]
            main = torch.linalg.svd(rows, full_matrices=False)[2][:2]
            assert (moved @ main.T).abs().max() < 1e-9


def test_a_direction_that_belongs_to_another_block_is_not_followed_far() -> None:
    editor = random_editor(conditional=True, main=27)  # nothing is left: D directions are taken
    latent, before, asked = asked_for(editor, "rotation")
    plain = random_editor().edit(latent, before, asked, "rotation") - latent
    moved = editor.edit(latent, before, asked, "rotation") - latent
    assert torch.isfinite(moved).all()
    assert (moved.flatten(1).norm(dim=1) <= 20 * plain.flatten(1).norm(dim=1)).all()


@pytest.mark.parametrize("conditional", [False, True])
def test_nothing_asked_is_nothing_done(conditional: bool) -> None:
    editor = random_editor(conditional)
    latent, before, _ = asked_for(editor, "expression")
    assert torch.equal(editor.edit(latent, before, before, "expression"), latent)


def test_the_toy_world_s_own_matrix_reads_the_truth() -> None:
    networks = toy_networks(dtype=torch.float64)
    assert isinstance(networks.generator, ToyGenerator)
    editor = LinearEditor(TOY_LAYOUT, WIDTH).double()
    editor.weight.copy_(networks.generator.mixing.T)
    latent = rand(3, LAYERS, WIDTH)
    torch.testing.assert_close(editor.read(latent), networks.generator.theta(latent))


def test_saved_and_loaded_is_the_same_to_half_precision(tmp_path: Path) -> None:
    editor = random_editor()
    editor.save(tmp_path / "d.safetensors", {"figures": {}})
    loaded = LinearEditor.load(tmp_path / "d.safetensors", conditional=True, main=3)
    assert isinstance(loaded, Editor)
    assert (loaded.conditional, loaded.main, loaded.layout) == (True, 3, TOY_LAYOUT)
    torch.testing.assert_close(loaded.weight.double(), editor.weight, rtol=1e-3, atol=1e-4)


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write_weights(path, "rig", {}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="directions"):
        LinearEditor.load(path)
    write_weights(path, "directions", {"latent_dim": 3}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="does not describe directions"):
        LinearEditor.load(path)


def test_wrong_blocks_and_shapes_are_refused() -> None:
    editor = random_editor()
    latent, before, asked = asked_for(editor, "rotation")
    with pytest.raises(ConfigError, match=r"no directions edit the block 'identity'.*rotation"):
        editor.edit(latent, before, asked, "identity")
    with pytest.raises(InputError, match="44"):
        editor.edit(latent[..., :5], before, asked, "rotation")
    with pytest.raises(ConfigError, match="main=0"):
        LinearConfig(main=0)
