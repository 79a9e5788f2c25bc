"""Building components by name: only what is required, once, with checked settings; gaps found before loading."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
import torch

from pie_framework.api import LatentView, Layout, TargetView
from pie_framework.composition.build import Builder, choose_device
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import AssetError, ComponentError, ConfigError, PluginError
from pie_framework.plugins import Registry, discover
from pie_framework.testing import toy_factories
from pie_framework.testing.toy_plugin import TOYS

STAGES = {"stages": [{"name": "w", "space": "w", "steps": 1, "lr": 0.1}]}
BLOCKS = ("rotation", "expression", "illumination")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover(
        {"PIE_PLUGINS": "energies,optimizers,starts,toys"}, [*entry_points(group="pie_framework"), TOYS]
    )


def toy_run(*terms: str, **changes: Any) -> RunConfig:
    tree: dict[str, Any] = {
        "terms": {term: {"term": term} for term in terms},
        "generator": {"name": "toy"},
        "face_model": {"name": "toy"},
        "encoder": {"name": "toy"},
        "rig": {block: {"name": "toy", "block": block} for block in BLOCKS},
        "editor": {"name": "toy"},
        "features": {role: {"name": "toy"} for role in ("perceptual", "recognition")},
        "landmarks": {"name": "toy"},
        "schedule": STAGES,
        "device": "cpu",
    }
    return parse({**tree, **changes})


ALL = ("synthesis", "identity", "edit", "invariance", "recognition")


def test_the_full_energy_builds_everything_it_requires(registry: Registry):
    networks = Builder(toy_run(*ALL), registry).networks()
    assert set(networks.rigs) == set(BLOCKS)
    assert [networks.rigs[block].block for block in BLOCKS] == list(BLOCKS)
    assert set(networks.features) == {"perceptual", "recognition"}
    assert None not in (networks.encoder, networks.face_model, networks.landmarks)


def test_only_what_is_required_is_built(registry: Registry):
    networks = Builder(toy_run("synthesis"), registry).networks()
    assert set(networks.features) == {"perceptual"}
    assert networks.encoder is None
    assert networks.landmarks is None
    assert networks.rigs == {}


def test_a_term_of_weight_zero_requires_nothing(registry: Registry):
    run = toy_run("synthesis", "identity")
    run.terms["identity"].weight = {"w": 0.0}
    assert Builder(run, registry).networks().encoder is None
    assert list(Builder(run, registry).objective().terms) == ["synthesis"]


def test_edits_require_the_encoder_and_the_editor_with_its_rigs(registry: Registry):
    run = toy_run("synthesis", edit={"requests": {"smile": ["expression.smile=1"]}})
    assert set(Builder(run, registry).networks().rigs) == set(BLOCKS)
    assert Builder(run, registry).networks().need_editor().blocks == BLOCKS
    assert Builder(run, registry).networks(edits=False).rigs == {}
    assert Builder(run, registry).networks(edits=False).editor is None
    assert Builder(toy_run("synthesis"), registry).networks(edits=True).encoder is not None


def test_only_the_blocks_of_the_run_need_rigs(registry: Registry):
    run = toy_run("identity", blocks=["rotation"], rig={"rotation": {"name": "toy"}})
    assert set(Builder(run, registry).networks().rigs) == {"rotation"}


def test_the_energy_of_the_toy_world_is_built_and_zero_for_the_right_answer(registry: Registry):
    run = toy_run(*ALL, dtype="float64")
    run.terms["edit"].weight = 3
    builder = Builder(run, registry)
    networks, objective = builder.networks(), builder.objective()
    assert objective.terms["edit"].weight == 3
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0))
    assert latent.dtype == torch.float64
    from pie_framework.optimisation.prior import PriorSampler

    view = LatentView(networks, latent, PriorSampler(networks, 0, 1, 4).draw(0), BLOCKS)
    target = TargetView(networks, networks.generator.synthesize(latent))
    total = objective(view, target, "w").raw
    assert total["synthesis.l2"].abs().max() < 1e-12
    assert total["identity"].abs().max() < 1e-9


@pytest.mark.parametrize(
    ("factory", "change", "said"),
    [
        (
            "encoder",
            {"size": 9},
            "encoder=toy was made for another face model than face_model=toy: its block",
        ),
        ("rig", {"names": ("other",)}, "names its coefficients otherwise"),
    ],
)
def test_theta_must_mean_the_same_everywhere(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, factory: str, change: dict[str, Any], said: str
):
    made = getattr(toy_factories, factory)

    def other(config: Any, context: Any) -> Any:
        part = made(config, context)
        *rest, last = part.layout.blocks
        part.layout = Layout((*rest, dataclasses.replace(last, **change)))
        return part

    monkeypatch.setattr(toy_factories, factory, other)
    with pytest.raises(ComponentError, match=said):
        Builder(toy_run(*ALL), registry).networks()


@pytest.mark.parametrize(
    ("layers", "width", "said"),
    [(18, 44, "num_layers 18, not 4"), (4, 512, "latent_dim 512, not 44")],
)
def test_rigs_must_be_of_the_generator(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, layers: int, width: int, said: str
):
    made = toy_factories.rig

    def other(config: Any, context: Any) -> Any:
        part = made(config, context)
        part.num_layers, part.latent_dim = layers, width
        return part

    monkeypatch.setattr(toy_factories, "rig", other)
    with pytest.raises(ComponentError, match=f"rig was trained for another generator.*{said}"):
        Builder(toy_run(*ALL), registry).networks()


def test_rigs_of_other_weights_are_warned_about(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    made = toy_factories.rig

    def other(config: Any, context: Any) -> Any:
        part = made(config, context)
        part.made_for = {"num_layers": 4, "fingerprint": [1.0]}
        return part

    monkeypatch.setattr(toy_factories, "rig", other)
    Builder(toy_run(*ALL), registry).networks()
    assert "other weights" in caplog.text


def test_a_component_is_built_once_also_for_two_roles(registry: Registry):
    builder = Builder(toy_run(*ALL), registry)
    networks = builder.networks()
    assert builder.get("generator") is networks.generator
    assert builder.get("encoder").face_model is networks.face_model
    assert networks.features["perceptual"] is networks.features["recognition"]
    assert builder.get("features", "perceptual") is networks.features["perceptual"]
    differing = toy_run(
        *ALL, features={"perceptual": {"name": "toy"}, "recognition": {"name": "toy", "seed": 3}}
    )
    networks = Builder(differing, registry).networks()
    assert networks.features["perceptual"] is not networks.features["recognition"]


def test_networks_are_frozen(registry: Registry):
    generator = Builder(toy_run("synthesis"), registry).get("generator")
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_what_was_used_is_recorded_by_role(registry: Registry):
    builder = Builder(toy_run("identity"), registry)
    builder.networks()
    builder.objective()
    assert {"generator", "encoder", "rig.rotation", "terms.identity"} <= set(builder.used)


@pytest.mark.parametrize(
    ("terms", "changes", "said"),
    [
        (
            ("identity",),
            {"rig": {}},
            "the term 'identity' needs a rig network for the block 'rotation'.*rig=stylerig",
        ),
        (("identity",), {"encoder": {"name": "none"}}, "the term 'identity' needs .*'encoder'.*encoder=mofa"),
        (("edit",), {"landmarks": {}}, "the term 'edit' needs .*'landmarks'"),
        (
            ("recognition",),
            {"landmarks": {}},
            "'recognition' .which draws latents from the prior. needs .*'landmarks'",
        ),
        (("synthesis",), {"features": {}}, "'synthesis' needs a feature network in the role 'perceptual'"),
        (("synthesis",), {"generator": {}}, "every run needs .*'generator'.*generator=stylegan2"),
        (("synthesis",), {"face_model": {}}, "generator 'toy' needs .*'face_model'"),
        (
            ("synthesis",),
            {"edit": {"requests": {"a": ["b"]}}, "rig": {}},
            "making edits .by its editor 'toy'. needs a rig network.*rig=stylerig.*edit=none",
        ),
        (
            ("synthesis",),
            {"edit": {"requests": {"a": ["b"]}}, "editor": {"name": "none"}},
            "making edits needs .*'editor'.*editor=rig.*edit=none",
        ),
        (("synthesis",), {"generator": {"name": "tyo"}}, "no generator named 'tyo'.*Did you mean 'toy'"),
        (("synthsis",), {}, "no energy named 'synthsis'.*Did you mean 'synthesis'"),
    ],
)
def test_gaps_are_found_before_anything_is_loaded(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    terms: tuple[str, ...],
    changes: dict[str, Any],
    said: str,
):
    monkeypatch.setattr(
        "pie_framework.api.Component.load", lambda self: pytest.fail(f"{self.name} was loaded")
    )
    with pytest.raises(ComponentError, match=said):
        Builder(toy_run(*terms, **changes), registry).plan.check()


def test_an_unused_gap_is_no_gap(registry: Registry):
    builder = Builder(toy_run("synthesis", rig={}, encoder={"name": "none"}, landmarks={}), registry)
    builder.plan.check()
    networks = builder.networks()
    assert (networks.encoder, networks.landmarks, dict(networks.rigs)) == (None, None, {})


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"name": "toy", "strenght": 1}, "no setting 'rig.rotation.strenght'. Did you mean 'strength'"),
        ({"name": "toy", "strength": "all"}, "rig.rotation.strength: 'all' is not a number"),
        ({"strength": 1}, "rig.rotation does not say which component"),
    ],
)
def test_settings_are_checked_against_the_components_dataclass(
    registry: Registry, node: dict[str, Any], said: str
):
    builder = Builder(toy_run("identity", rig={"rotation": node}, blocks=["rotation"]), registry)
    with pytest.raises(ConfigError, match=said):
        builder.networks()


def test_options_of_a_term_are_checked(registry: Registry):
    run = toy_run("edit")
    run.terms["edit"].options = {"sise": 3}
    with pytest.raises(ConfigError, match=r"no setting 'terms.edit.options.sise'. Did you mean 'size'"):
        Builder(run, registry).objective()


def test_a_registered_name_that_is_not_chosen_gets_its_defaults(registry: Registry):
    builder = Builder(parse({"schedule": STAGES, "device": "cpu", "face_model": {"name": "toy"}}), registry)
    assert builder.get("landmarks", "toy").num_landmarks == 6
    with pytest.raises(ComponentError, match="no encoder in this run"):
        builder.get("encoder")


def test_a_role_that_is_not_composed_is_never_filled_with_a_network_of_that_name():
    run = toy_run("synthesis", features={"perceptual": {"name": "toy"}})
    builder = Builder(run, discover(entry_points=[*entry_points(group="pie_framework"), TOYS]))
    assert builder.chosen("features", "recognition") is None
    with pytest.raises(
        ComponentError, match=r"no features in the role 'recognition'.*features/recognition=NAME"
    ):
        builder.get("features", "recognition")
    with pytest.raises(ComponentError, match="no rig for the block 'gaze'"):
        builder.get("rig", "gaze")


def test_detected_and_rendered_landmarks_must_be_as_many(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    made = toy_factories.landmarks

    def other(config: Any, context: Any) -> Any:
        part = made(config, context)
        part.num_landmarks = 66
        return part

    monkeypatch.setattr(toy_factories, "landmarks", other)
    with pytest.raises(ComponentError, match="landmarks=toy finds 66 landmarks, face_model=toy has 6"):
        Builder(toy_run(*ALL), registry).networks()


def test_what_a_factory_makes_must_be_of_its_kind(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(toy_factories, "encoder", lambda config, context: object())
    with pytest.raises(
        PluginError, match=r"the encoder 'toy' of .* is no FaceEncoder: object has no encode, layout"
    ):
        Builder(toy_run("identity"), registry).networks()


FAULTY = """
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_components():
    heavy = (Asset("w", "pkg://faulty_data/w.bin", "0" * 64),)
    return [
        Component(Kind.GENERATOR, "crashes", "faulty:crash", api_version=(1, 1)),
        Component(Kind.GENERATOR, "exits", "faulty:leave", api_version=(1, 1)),
        Component(Kind.GENERATOR, "absent", "faulty:not_there", api_version=(1, 1)),
        Component(Kind.GENERATOR, "circular", "faulty:circle", api_version=(1, 1)),
        Component(Kind.GENERATOR, "heavy", "faulty:heavy", assets=heavy, api_version=(1, 1)),
    ]

def leave(config, context):
    raise SystemExit(3)

def crash(config, context):
    return {}["no such key"]

def circle(config, context):
    return context.generator()

def heavy(config, context):
    return context.asset("pkg://faulty_data/w.bin")
"""


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("crashes", ComponentError, "generator 'crashes' of faulty-dist 1.2.3 cannot be built: KeyError"),
        ("exits", PluginError, "generator 'exits' of faulty-dist 1.2.3 cannot be built: it exits"),
        (
            "absent",
            ComponentError,
            "the generator 'absent' of faulty-dist 1.2.3 cannot be loaded from 'faulty:not_there'",
        ),
        ("circular", ComponentError, "need one another: generator 'circular' -> generator 'circular'"),
        ("heavy", AssetError, "^generator=heavy: the asset 'pkg.* is not the file that was declared"),
    ],
)
def test_faulty_factories_are_named(install, name: str, error: type[Exception], said: str):
    files = {"faulty.py": FAULTY, "faulty_data/__init__.py": "", "faulty_data/w.bin": "x"}
    install("faulty-dist", {"faulty": "faulty"}, files)
    builder = Builder(toy_run("synthesis", generator={"name": name}), discover({"PIE_PLUGINS": "faulty"}))
    with pytest.raises(error, match=said):
        builder.get("generator")
    sys.modules.pop("faulty", None)


TWINS = """
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_components():
    file = (Asset("w", "pkg://shared_data/w.bin", "{digest}"),)
    return [Component(Kind.GENERATOR, "twin", "{module}:build", assets=file, api_version=(1, 1))]

def build(config, context):
    context.asset("pkg://shared_data/w.bin")
    return {{}}["the file was found"]
"""


def test_the_digest_is_that_of_the_component_that_is_built(install):
    """Also where it has only a name with its distribution, and another declares another file there."""
    right = hashlib.sha256(b"x").hexdigest()
    for name, digest in (("first", "0" * 64), ("second", right)):
        files = {f"{name}.py": TWINS.format(digest=digest, module=name)}
        install(
            f"{name}-dist", {name: name}, {**files, "shared_data/__init__.py": "", "shared_data/w.bin": "x"}
        )
    registry = discover({"PIE_PLUGINS": "first,second"})
    run = toy_run("synthesis", generator={"name": "second-dist:twin"})
    with pytest.raises(
        PluginError, match=r"of second-dist 1\.2\.3 cannot be built: KeyError: 'the file was found'"
    ):
        Builder(run, registry).get("generator")
    run = toy_run("synthesis", generator={"name": "first-dist:twin"})
    with pytest.raises(AssetError, match="not the file that was declared"):
        Builder(run, registry).get("generator")


@pytest.mark.parametrize(
    ("factory", "attribute"),
    [
        ("face_model", "layout"),
        ("face_model", "num_landmarks"),
        ("rig", "latent_dim"),
        ("generator", "num_layers"),
    ],
)
def test_an_attribute_that_fails_names_its_component(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, factory: str, attribute: str
):
    made = getattr(toy_factories, factory)

    def fails(self: object) -> Any:
        raise RuntimeError("no " + attribute)

    def wrong(config: Any, context: Any) -> Any:
        part = made(config, context)
        if factory == "rig":
            part.num_layers = 3
        part.__class__ = type("Wrong", (type(part),), {attribute: property(fails, lambda self, value: None)})
        part.__dict__.pop(attribute, None)
        return part

    monkeypatch.setattr(toy_factories, factory, wrong)
    with pytest.raises(PluginError, match=f"the {factory} 'toy' of .*: RuntimeError: no {attribute}"):
        Builder(toy_run("edit"), registry).networks()


def test_each_process_of_several_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:3")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")


def test_choosing_a_device():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(ConfigError, match="not there"):
        choose_device("cuda:99")


NAMED = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@dataclass(frozen=True)
class Settings:
    name: str = "nobody"

class Term:
    def __init__(self, config, context):
        self.name = config.name

    def energy(self, view, target):
        return view.latent.sum(dim=(1, 2))

@hookimpl
def pie_components():
    return [Component(Kind.ENERGY, "named", "named_plugin:Term", Settings, api_version=(1, 1))]
"""


def test_a_term_may_have_a_setting_called_name(install):
    install("named-dist", {"named": "named_plugin"}, {"named_plugin.py": NAMED})
    run = toy_run("named")
    run.terms["named"].options = {"name": "somebody"}
    built: Any = Builder(run, discover({"PIE_PLUGINS": "named"})).objective().terms["named"].term
    assert built.name == "somebody"
