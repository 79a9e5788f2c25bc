"""Public feature networks become safetensors that compute the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.random_assets import write_random_arcface, write_random_lpips_heads, write_random_vgg16
from pie_features import arcface, vgg16, vggface16
from pie_features.convert import convert, network_in
from pie_features.settings import ArcFaceSettings, Vgg16Settings, VggFaceSettings
from pie_framework.errors import AssetError
from pie_weights.untrusted import sniff
from tests.unit.pie_features.foreign import Context, images, vgg_state


def test_vgg16(tmp_path: Path) -> None:
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    write_random_vgg16(source)
    conversion = convert(source, sniff(source))
    assert conversion is not None
    assert conversion.architecture == "VGG-16" and conversion.parameters == 14_714_688
    conversion.write(target, False)
    image = images(1, 32)
    one, other = (vgg16.build(Vgg16Settings(weights=str(path)), Context()) for path in (source, target))
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    for name, value in one.features(image).items():
        torch.testing.assert_close(other.features(image)[name], value)
    assert convert(target, sniff(target)) is not None  # and again, for half precision
    conversion.write(target, True)
    halved = vgg16.build(Vgg16Settings(weights=str(target)), Context())
    torch.testing.assert_close(
        halved.features(image)["relu3_3"], one.features(image)["relu3_3"], rtol=0, atol=0.05
    )
    heads = tmp_path / "heads.pth"
    write_random_lpips_heads(heads)
    assert convert(heads, sniff(heads)) is None
    vgg16.build(Vgg16Settings(weights=str(target), heads=str(heads)), Context())


def test_vggface_keeps_its_order_of_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vggface16, "HIDDEN", 4)
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    large = {"fc6.weight": torch.ones(4, 25088), "fc6.bias": torch.ones(4)}
    large |= {"fc7.weight": torch.eye(4), "fc7.bias": torch.ones(4), "fc8.weight": torch.ones(2622, 4)}
    torch.save(vgg_state("conv_{name}") | large, source)
    conversion = convert(source, sniff(source))
    assert conversion is not None and "bgr" in conversion.facts["colours"]
    conversion.write(target, False)
    one, other = (vggface16.build(VggFaceSettings(weights=str(p)), Context()) for p in (source, target))
    first = other.network.get_parameter("conv1_1.weight")
    assert torch.equal(one.network.get_parameter("conv1_1.weight"), first)
    assert torch.equal(first, vgg_state()["features.0.weight"].flip(1))


def test_arcface(tmp_path: Path) -> None:
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    write_random_arcface(source, 18)
    conversion = convert(source, sniff(source))
    assert conversion is not None
    assert conversion.architecture == "IResNet-18" and conversion.facts == {"blocks": "2, 2, 2, 2"}
    conversion.write(target, False)
    one, other = (arcface.build(ArcFaceSettings(weights=str(path)), Context()) for path in (source, target))
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    with torch.no_grad():
        torch.testing.assert_close(one.embed(images()), other.embed(images()))


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    torch.save(vgg_state() | {"features.0.bias": torch.full((64,), 1e6)}, source)
    conversion = convert(source, sniff(source))
    assert conversion is not None
    with pytest.raises(AssetError, match="float16"):
        conversion.write(target, True)
    assert not target.exists()


def test_networks_are_told_apart_by_their_layout(tmp_path: Path) -> None:
    like_torchvision = vgg_state() | {"classifier.6.weight": torch.zeros(1000, 1)}
    assert network_in(like_torchvision) == "vgg16"
    assert network_in(vgg_state() | {"classifier.6.weight": torch.zeros(2622, 1)}) == "vggface16"
    assert network_in({"weight": torch.zeros(1)}) is None
    other = tmp_path / "other.pth"
    torch.save({"a.weight": torch.zeros(1)}, other)
    assert convert(other, sniff(other)) is None
    torch.save([1], other)
    assert convert(other, sniff(other)) is None
    assert convert(other, "pickle") is None
