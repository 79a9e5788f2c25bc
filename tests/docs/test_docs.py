"""The documentation is complete and true: hooks, settings, controls, commands, links and examples."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from pie_assets import command as assets_command
from pie_bench import settings as bench_settings
from pie_bench.columns import COLUMNS, SECONDS
from pie_bench.report import PAGE, RESULTS, TABLE
from pie_bench.settings import BenchConfig
from pie_doctor.report import SECTIONS, Finding, Status
from pie_framework import hookspecs
from pie_framework.api import Kind
from pie_framework.assets import load_catalogue
from pie_framework.assets.catalogue import FORMATS, SURE, Entry
from pie_framework.cli import edit as edit_command
from pie_framework.cli.main import COMMANDS
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import CHOSEN, RunConfig
from pie_framework.editing.controls import LIGHT_DIRECTIONS, Vocabulary
from pie_framework.plugins import discover
from pie_framework.runs import folder
from pie_framework.runs.folder import Manifest
from pie_framework.testing import conformance
from pie_framework.version import __version__

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")), *PAGES]
MAIN_COMMAND = "pip install -e . && pie run energy=full generator=stylegan2"
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> Iterator[str]:
    """The fenced code blocks of a language."""
    yield from re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def headings(path: Path) -> set[str]:
    """Anchors of a page, as the site makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"[^\w\s-]", "", heading.lower(), flags=re.ASCII).strip()
        found.add(re.sub(r"[\s]+", "-", plain))
    return found


# ---- commands --------------------------------------------------------------------------------------------------


def test_readme_has_the_two_commands() -> None:
    lines = read("README.md").splitlines()
    assert MAIN_COMMAND in lines
    assert TEST_COMMAND in lines


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    assert f"`pie {command}`" in read("docs/quickstart.md")


def _shown_runs() -> list[str]:
    """Every `pie run` in a code block or in the text that can be composed here."""
    others = r"--|resume|-m |full_close|backdrop|glow|mine|closeness|OPTION|\.\.\."
    found = set()
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        lines = [
            line
            for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
            for line in block.splitlines()
        ]
        for line in [*lines, *re.findall(r"`(pie run [^`]*)`", text)]:
            command = line.split("  #")[0].rpartition("&& ")[2].strip()
            if command.startswith("pie run ") and not re.search(others, command):
                found.add(command)
    return sorted(found)


@pytest.mark.parametrize("line", _shown_runs())
def test_shown_runs_compose(line: str) -> None:
    import shlex

    # A backbone is a folder of the reader's own; what is given beside it must compose without it.
    assert compose([word for word in shlex.split(line)[2:] if not word.startswith("backbone=")]).terms


# ---- hooks and contracts ---------------------------------------------------------------------------------------


def _hooks() -> list[str]:
    return [name for name in vars(hookspecs) if name.startswith("pie_")]


@pytest.mark.parametrize("hook", _hooks())
def test_every_hook_is_documented(hook: str) -> None:
    page = read("docs/plugins/hooks.md")
    section = page.partition(f"\n### {hook}\n")[2].partition("\n### ")[0].strip()
    assert len(section) > 40, f"docs/plugins/hooks.md has no section '{hook}'"
    assert f"`{hook}`" in read("CONTRIBUTING.md")


@pytest.mark.parametrize("suite", conformance.__all__)
def test_every_conformance_suite_is_documented(suite: str) -> None:
    assert f"`{suite}`" in read("docs/plugins/conformance.md")
    assert f"`{suite}`" in read("CONTRIBUTING.md")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_documented(kind: Kind) -> None:
    page = read("docs/plugins/hooks.md")
    section = page.partition(f"\n### {kind}\n")[2].partition("\n##")[0]
    assert len(section) > 40, f"docs/plugins/hooks.md has no section '{kind}'"
    assert f"`{kind.protocol}`" in section or not kind.protocol
    assert f"| `{kind.old_hook}` | `{kind}` |" in page or not kind.old_hook
    assert f"| `{kind.protocol}`" in read("CONTRIBUTING.md") or not kind.protocol


def test_every_trainer_has_a_recipe_page_section() -> None:
    page = read("docs/training.md")
    for component in discover().components(Kind.TRAINER):
        assert f"pie train {component.name} " in re.sub(" +", " ", page), component.name


# ---- configuration ---------------------------------------------------------------------------------------------


def _groups() -> list[str]:
    return sorted(
        path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "__pycache__"
    )


@pytest.mark.parametrize("group", _groups())
def test_every_group_has_a_page_with_its_options(group: str) -> None:
    page = read(f"docs/configuration/{group}.md")
    index = read("docs/configuration/index.md")
    assert f"[{group}]({group}.md)" in index
    for option in (ROOT / "conf" / group).glob("*.yaml"):
        shown = f"`{option.stem}`" in page or f"## {option.stem}\n" in page
        assert shown, f"docs/configuration/{group}.md does not explain {option.stem}"
        assert f"`{option.stem}`" in index


def _keys(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _keys(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        yield from _keys(node[0], f"{path}.N")
    else:
        yield path


COMPONENT_GROUPS = (
    "generator",
    "face_model",
    "encoder",
    "rig",
    "editor",
    "features",
    "landmarks",
    "aligner",
    "init",
    "optimizer",
    "schedule",
)


@functools.cache
def _compositions() -> list[dict[str, Any]]:
    """Configurations that have every key of the groups between them."""
    chosen: list[list[str]] = [
        [],
        ["schedule=paper", "aligner=ffhq", "landmarks=file"],
        ["landmarks=mediapipe", "init=nearest", "optimizer=torch"],
    ]
    return [cast(dict[str, Any], OmegaConf.to_container(compose(words), resolve=True)) for words in chosen]


@pytest.mark.parametrize("group", COMPONENT_GROUPS)
def test_every_key_of_a_group_is_documented(group: str) -> None:
    page = read(f"docs/configuration/{group}.md")
    for config in _compositions():
        for key in _keys(config[group], group):
            assert f"`{key}`" in page, f"docs/configuration/{group}.md does not explain {key}"


def test_every_setting_of_the_run_is_documented() -> None:
    page = read("docs/configuration/index.md")
    for key in {*RunConfig.__dataclass_fields__, *CHOSEN} - {"components"}:
        documented = f"| `{key}` |" in page or f"| `{key}." in page or f"| [{key}](" in page
        assert documented, f"docs/configuration/index.md does not explain {key}"


def test_every_environment_variable_is_documented() -> None:
    page = read("docs/configuration/index.md")
    assert "PIE_PLUGINS" in page and "PIE_ASSETS" in page


# ---- assets and doctor -----------------------------------------------------------------------------------------


def test_every_fact_of_an_asset_is_documented() -> None:
    page = read("docs/assets.md")
    facts = {field.name for field in fields(Entry)} - {"name", "origin"}
    for word in [*facts, *SURE, *FORMATS]:
        assert f"`{word}`" in page, f"docs/assets.md does not explain {word}"
    for command in assets_command.COMMANDS:
        assert f"`pie assets {command}" in page
    for option in ("link=true", "trust=true"):
        assert f"`{option}`" in page


def test_assets_that_are_named_are_in_the_catalogue() -> None:
    known = {*load_catalogue().entries, "NAME", "my-net"}
    for path in [*TEXTS, *(ROOT / "conf").rglob("*.yaml")]:
        named = set(
            re.findall(
                r"(?:asset://|pie assets (?:pull|add|show|path) )([a-z][\w.-]*\w)", path.read_text("utf-8")
            )
        )
        assert named <= known, path


def test_every_part_of_the_doctors_report_is_documented() -> None:
    page = read("docs/doctor.md")
    for heading in SECTIONS.values():
        assert f"| {heading} |" in page
    for word in [*Status, *Finding.__dataclass_fields__]:
        assert f"`{word}`" in page


# ---- benchmark -------------------------------------------------------------------------------------------------


def test_every_set_method_setting_and_column_of_a_bench_is_documented() -> None:
    page = read("docs/bench.md")
    options = [path.stem for path in (ROOT / "plugins/pie_bench/conf").glob("*/*.yaml")]
    for name in [*options, *BenchConfig.__dataclass_fields__, *COLUMNS, SECONDS.name, RESULTS, TABLE, PAGE]:
        assert f"`{name}`" in page, f"docs/bench.md does not explain {name}"


def _shown_benches() -> list[str]:
    """Every bench in the text that can be composed here."""
    found = set()
    for path in TEXTS:
        for line in re.findall(r"^pie bench\b.*$", path.read_text(encoding="utf-8"), re.M):
            if not re.search(r"-m |models|report|mine|backdrop|\.\.\.", line):
                found.add(line.split("  #")[0].strip())
    return sorted(found)


@pytest.mark.parametrize("line", _shown_benches())
def test_shown_benches_compose(line: str) -> None:
    assert bench_settings.load(line.split()[2:], discover()).methods


# ---- editing and run folder ------------------------------------------------------------------------------------


def test_every_control_is_documented() -> None:
    from pie_facemodels.procedural.model import ProceduralFaceModel

    page = read("docs/editing.md")
    layout = ProceduralFaceModel().layout
    for name in Vocabulary(layout).names():
        block, _, key = name.partition(".")
        shown = key if block == "expression" and key != "raw" else name
        if block == "expression" and f"{key}_left" in layout.names("expression"):
            continue  # both sides at once
        assert f"`{shown}`" in page, f"docs/editing.md does not explain {name}"
    for word in (*LIGHT_DIRECTIONS, *edit_command.OPTIONS):
        assert f"`{word}`" in page


def test_every_file_and_manifest_key_of_a_run_is_documented() -> None:
    page = read("docs/run-folder.md")
    files = [folder.MANIFEST, folder.LATENT, folder.CHECKPOINT, folder.ENERGIES, folder.SHEET, folder.REPORT]
    for name in [*files, *Manifest.__dataclass_fields__]:
        assert f"`{name}`" in page, f"docs/run-folder.md does not explain {name}"


# ---- links -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_internal_links_resolve(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{path.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in headings(found), f"{path.name} links to {target}, which has no such heading"


def test_snippets_exist() -> None:
    for path in PAGES:
        for name in re.findall(r'^--8<-- "(.+)"$', path.read_text(encoding="utf-8"), re.M):
            assert (ROOT / name).is_file(), f"{path.name} shows {name}, which does not exist"


def test_every_page_is_in_the_navigation() -> None:
    navigation = read("mkdocs.yml")
    for path in PAGES:
        assert path.relative_to(DOCS).as_posix() in navigation


def test_paths_that_contributing_names_exist() -> None:
    text = read("CONTRIBUTING.md")
    names = re.findall(r"`(\.?[\w-]+(?:/[\w.-]+)*/?)`", text) + re.findall(r"^(\.ci/\w+)", text, re.M)
    paths = [name for name in names if "/" in name and not re.search(r"NAME|ROLE", name)]
    assert len(paths) > 10
    for name in paths:
        assert (ROOT / name).exists(), f"CONTRIBUTING.md names {name}, which does not exist"


def test_one_version_everywhere() -> None:
    citation = OmegaConf.load(ROOT / "CITATION.cff")
    newest = re.search(r"^## (\S+?),", read("CHANGELOG.md"), re.M)
    assert newest
    assert newest[1] == citation["version"] == __version__.partition(".dev")[0]


# ---- examples --------------------------------------------------------------------------------------------------


def _python_blocks() -> list[tuple[str, str]]:
    return [
        (f"{path.relative_to(ROOT)}:{number}", block)
        for path in TEXTS
        for number, block in enumerate(blocks(path, "python"))
    ]


@pytest.mark.parametrize(("where", "code"), _python_blocks(), ids=[where for where, _ in _python_blocks()])
def test_python_examples_compile_and_import_what_exists(where: str, code: str) -> None:
    import importlib

    for node in ast.walk(ast.parse(code, where)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pie_framework"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{where} imports {alias.name} from {node.module}"


def named_files(page: Path) -> dict[str, str]:
    """Code blocks that begin with a comment that names a file."""
    found = {}
    for language in ("python", "yaml", "toml"):
        for block in blocks(page, language):
            first = re.match(r"# ([\w/.-]+\.(?:py|yaml|toml))\n", block)
            if first:
                found[first[1]] = block[first.end() :]
    return found


def entry_points(toml: str) -> dict[str, str]:
    """Of the group pie_framework in a pyproject.toml."""
    section = toml.partition("[project.entry-points.pie_framework]")[2].partition("\n[")[0]
    return dict(re.findall(r'^(\w+) = "([\w.]+)"$', section, re.M))


@pytest.fixture
def fresh_hydra() -> Iterator[None]:
    """Plugin folders are looked up anew, before and after."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()


def _installed(page: Path, package: str, install: Callable[..., Path]) -> dict[str, str]:
    files = named_files(page)
    files.setdefault(f"{package}/__init__.py", "")
    install(package.replace("_", "-"), entry_points(files.pop("pyproject.toml")), files)
    return files


def test_readme_s_term_is_found_composed_and_evaluated(
    install: Callable[..., Path], fresh_hydra: None
) -> None:
    import torch

    from pie_framework.api import LatentView, TargetView
    from pie_framework.testing.toys import toy_networks

    _installed(ROOT / "README.md", "pie_closeness", install)
    registry = discover()
    assert not registry.problems
    component = registry.get(Kind.ENERGY, "closeness")
    assert registry.provenance(component).distribution == "pie-closeness"
    config = compose(["energy=full_close"], registry)
    assert config.terms.closeness.weight == 0.01
    assert set(config.terms) == {"synthesis", "identity", "edit", "invariance", "recognition", "closeness"}
    term = component.load()(component.config(), cast(Any, SimpleNamespace()))
    networks = toy_networks()
    latent = networks.generator.sample(3, torch.Generator().manual_seed(0))
    value = term.energy(LatentView(networks, latent), TargetView(networks, torch.zeros(3, 3, 16, 16)))
    torch.testing.assert_close(value, latent.square().mean(dim=(1, 2)))
