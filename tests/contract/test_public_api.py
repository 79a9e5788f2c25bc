"""The contract with plugins is frozen: what changes in it changes its version, and the documentation lists it."""

from __future__ import annotations

import ast
import importlib

import pytest

from pie_framework.api import API_VERSION
from tests.contract import public_api
from tests.contract.public_api import COMMAND, FROZEN, PAGE, complaint, describe, page, surface

REGENERATE = f"Then '{COMMAND}' freezes it (with --unreleased for a version that no release has yet)."


def test_the_contract_is_what_is_frozen():
    frozen, now = FROZEN.read_text(encoding="utf-8"), surface()
    assert complaint(frozen, now) == "", REGENERATE
    assert now == frozen, f"the version is new, the frozen contract is not. {REGENERATE}"


def test_the_page_lists_every_public_name():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, f"docs/plugins/api.md is not of today. {REGENERATE}"
    for module in public_api.modules():
        assert f"**`{module}`**" in text
        assert all(f"`{name}`" in text for name in public_api.names(module))


@pytest.mark.parametrize("module", public_api.modules())
def test_every_public_name_can_be_imported(module: str):
    imported = importlib.import_module(module)
    assert [name for name in public_api.names(module) if not hasattr(imported, name)] == []


def test_it_covers_what_import_linter_lets_plugins_import():
    found = public_api.modules()
    for name in (
        "images.affine",
        "api",
        "api.events",
        "errors",
        "hookspecs",
        "rendering.camera",
        "testing.toys",
    ):
        assert f"pie_framework.{name}" in found
    for name in (
        "plugins",
        "optimisation.solver",
        "untrusted.tensors",
        "rendering._planar",
        "composition.build",
    ):
        assert f"pie_framework.{name}" not in found


def test_it_has_signatures_fields_members_hooks_kinds_and_the_version():
    lines = FROZEN.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "version " + ".".join(map(str, API_VERSION))
    for line in (
        "pie_framework.api.component.API_VERSION: tuple[int, int]",
        "pie_framework.api.component.Asset.sha256: str | None = None",
        "pie_framework.api.component.Component.load(self) -> Callable[[Any, BuildContext], Any]",
        "pie_framework.api.models.Generator.latent_dim: int",
        "pie_framework.api.models.Generator.sample(self, n: int, rng: torch.Generator) -> Float[Tensor, '{n} L D']",
        "pie_framework.hookspecs.pie_steps_done(event: StepsDone) -> None  @hookspec",
        "pie_framework.api.Kind is pie_framework.api.kinds.Kind",
    ):
        assert line in lines
    assert any(line.startswith("pie_framework.api.kinds.Kind.ENERGY = ('energy'") for line in lines)


SOURCE = '''
@dataclass(frozen=True)
class Thing(Base, metaclass=Meta):
    """Docs."""
    size: int = 3
    names: list[str] = field(default_factory=list)
    LIMIT = 5
    _hidden: int = 0

    def __init__(self, size: int = 3, *, deep: bool = False) -> None:
        self.size, self._own = size, deep
        self.scale: float = 2.0

    @property
    def area(self) -> int: ...

    def test_something(self) -> None: ...
    def _private(self) -> None: ...
'''


def test_the_facts_of_a_class():
    (node,) = ast.parse(SOURCE).body
    assert sorted(describe("m.Thing", node, "Thing")) == [
        "m.Thing.LIMIT = 5",
        "m.Thing.__init__(self, size: int=3, *, deep: bool=False) -> None",
        "m.Thing.area(self) -> int  @property",
        "m.Thing.names: list[str] = field(default_factory=list)",
        "m.Thing.scale: attribute",
        "m.Thing.size: attribute",
        "m.Thing.size: int = 3",
        "m.Thing: class(Base, metaclass=Meta)  @dataclass(frozen=True)",
    ]


BEFORE = "version 1.1\n\nm.f(a) -> int\nm.X: int\n"


@pytest.mark.parametrize(
    ("after", "needed"),
    [
        (BEFORE, ""),
        (BEFORE + "m.g()\n", "(1, 2)"),
        (BEFORE.replace("1.1", "1.2") + "m.g()\n", ""),
        (BEFORE.replace("1.1", "2.0") + "m.g()\n", ""),
        (BEFORE.replace("m.X: int\n", ""), "(2, 0)"),
        (BEFORE.replace("f(a)", "f(a, b)"), "(2, 0)"),
        (BEFORE.replace("1.1", "1.2").replace("f(a)", "f(a, b)"), "(2, 0)"),
        (BEFORE.replace("1.1", "2.0").replace("f(a)", "f(a, b)"), ""),
        (BEFORE.replace("f(a)", "f(a, b: int=0)"), "(1, 2)"),
        (BEFORE.replace("1.1", "1.2").replace("f(a)", "f(a, b: int=0, *, c=(1, 2))"), ""),
        (BEFORE.replace("1.1", "1.2").replace("f(a)", "f(b=0, a=1)"), "(2, 0)"),
        (BEFORE.replace("1.1", "1.2").replace("f(a)", "f(a, *, c)"), "(2, 0)"),
        (BEFORE.replace("1.1", "1.2").replace("f(a) -> int", "f(a, b=0) -> str"), "(2, 0)"),
        (BEFORE.replace("1.1", "1.2").replace("f(a)", "g(a, b=0)"), "(2, 0)"),
        (BEFORE.replace("1.1", "1.0") + "m.g()\n", "(1, 2)"),
        (BEFORE.replace("1.1", "1.2"), "nothing changed"),
    ],
)
def test_a_change_needs_its_version(after: str, needed: str):
    said = complaint(BEFORE, after)
    assert (said == "") == (needed == "")
    assert needed in said


def test_freezing_refuses_a_version_that_is_too_small(tmp_path, monkeypatch, capsys):
    frozen, listed = tmp_path / "api.txt", tmp_path / "api.md"
    monkeypatch.setattr(public_api, "FROZEN", frozen)
    monkeypatch.setattr(public_api, "PAGE", listed)
    old = surface().replace("pie_framework.api.kinds.Kind.ENERGY", "pie_framework.api.kinds.Kind.ENERGIES")
    frozen.write_text(old, encoding="utf-8")
    listed.write_text(f"# Page\n{public_api.BEGIN}\nold\n{public_api.END}\nend\n", encoding="utf-8")
    assert public_api.main([]) == 1
    assert "API_VERSION must be at least (2, 0)" in capsys.readouterr().err
    assert frozen.read_text(encoding="utf-8") == old
    assert public_api.main(["--unreleased"]) == 0
    assert frozen.read_text(encoding="utf-8") == surface()
    assert listed.read_text(encoding="utf-8").endswith(f"{public_api.END}\nend\n")
    assert public_api.main([]) == 0
