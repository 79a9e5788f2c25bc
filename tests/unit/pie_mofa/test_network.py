from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pie_framework.api import FaceEncoder
from pie_framework.errors import AssetError, InputError, PieError
from pie_framework.testing.toys import TOY_LAYOUT
from pie_mofa.network import MofaEncoder
from pie_mofa.settings import Architecture
from pie_weights.files import write_weights

SMALL = Architecture(input_size=16, widths=(4, 6, 8), squeeze=4, hidden=12)


def small_encoder(seed: int = 0) -> MofaEncoder:
    torch.manual_seed(seed)
    encoder = MofaEncoder(TOY_LAYOUT, SMALL)
    encoder.set_statistics(torch.randn(TOY_LAYOUT.size), torch.rand(TOY_LAYOUT.size) + 0.5)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return encoder.eval()


def test_is_a_face_encoder_of_any_image_size() -> None:
    encoder = small_encoder()
    assert isinstance(encoder, FaceEncoder)
    for shape in ((2, 3, 16, 16), (2, 3, 64, 64), (2, 3, 9, 9), (2, 3, 40, 32)):
        assert encoder.encode(torch.rand(shape)).shape == (2, TOY_LAYOUT.size)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 16, 16, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="B, 3, H, W"):
        small_encoder().encode(torch.zeros(shape))


def test_folding_changes_nothing_but_the_gradient_of_weights() -> None:
    encoder, image = small_encoder(), torch.rand(3, 3, 16, 16)
    before = encoder.encode(image)
    frozen = encoder.freeze()
    torch.testing.assert_close(frozen.encode(image), before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())
    assert not any(weight.requires_grad for weight in frozen.parameters())


def test_half_precision_features_change_little() -> None:
    image = torch.rand(3, 3, 16, 16)
    half = small_encoder().freeze(torch.bfloat16).encode(image)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, small_encoder().freeze().encode(image), rtol=0, atol=0.1)


def test_gradient_in_the_image() -> None:
    encoder = small_encoder().freeze().double()
    image = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    some = torch.randn(TOY_LAYOUT.size, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: (encoder.encode(x) * some).sum(), (image,), fast_mode=True)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    encoder, image = small_encoder(), torch.rand(2, 3, 16, 16)
    encoder.save(tmp_path / "encoder.safetensors", {"figures": "{}"})
    loaded = MofaEncoder.load(tmp_path / "encoder.safetensors").eval()
    assert loaded.layout == encoder.layout
    assert loaded.architecture == encoder.architecture
    torch.testing.assert_close(loaded.encode(image), encoder.encode(image), rtol=1e-2, atol=1e-2)


def test_standard_size_fits_four_megabytes() -> None:
    from pie_framework.api import Block, Layout

    sizes = {
        "rotation": 3,
        "translation": 3,
        "identity": 80,
        "albedo": 80,
        "expression": 64,
        "illumination": 27,
    }
    encoder = MofaEncoder(Layout(tuple(Block(name, size) for name, size in sizes.items())))
    assert sum(weight.numel() for weight in encoder.parameters()) * 2 < 4e6


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(AssetError, match="no weight file"):
        MofaEncoder.load(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(AssetError, match="not in a format that is read here"):
        MofaEncoder.load(path)
    write_weights(path, "something else", {}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="something else"):
        MofaEncoder.load(path)
    write_weights(path, "encoder", {}, {"a": torch.zeros(1)})
    with pytest.raises(AssetError, match="does not describe"):
        MofaEncoder.load(path)


def test_impossible_architecture() -> None:
    with pytest.raises(PieError, match="halved"):
        Architecture(input_size=20, widths=(4, 4, 4))
