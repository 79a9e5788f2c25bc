"""Writes the distribution of a new plugin from the templates beside this file. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from string import Template

from pie_framework.api import API_VERSION, Kind
from pie_framework.api.component import NAME, RESERVED
from pie_framework.cli.plugins.authoring.recipes import RECIPES, Recipe
from pie_framework.cli.plugins.authoring.subjects import COMMAND, OBSERVER
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry, config_folders
from pie_framework.plugins.registry import OWN_COMMANDS
from pie_framework.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".tmpl"
LONGEST = 40


def create(name: str, kind: str, folder: Path, registry: Registry) -> Path:
    """Write the folder `pie-NAME` with a distribution that installs, runs and passes its tests.

    Args:
        name: of the component, and of its package `pie_NAME`; see `check_name`.
        kind: one of `RECIPES`.
        folder: where `pie-NAME` is made.
        registry: the installed plugins.

    Raises:
        ConfigError: the kind or the name cannot be used, or the folder is there already. Nothing is left behind.
    """
    if kind not in RECIPES:
        raise ConfigError(f"there is nothing to write for --kind {kind}", did_you_mean(kind, RECIPES))
    recipe = RECIPES[kind]
    check_name(name, kind, registry)
    target = folder / f"pie-{name}"
    if target.exists():
        raise ConfigError(f"'{target}' is there already", "Choose another name or --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".pie-{name}-", dir=folder))
    try:
        made.chmod(0o755)
        values = _values(name, kind, recipe)
        for part in ("common", "component" if recipe.kind is not None else "", kind):
            if part:
                _write(TEMPLATES / part, made, values)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def check_name(name: str, kind: str, registry: Registry) -> None:
    """Raise ConfigError when a new plugin of a kind of `RECIPES` cannot be called so."""
    recipe = RECIPES[kind]
    if not NAME.fullmatch(name) or name.endswith("_") or len(name) > LONGEST:
        raise ConfigError(
            f"'{name}' is no name of a plugin",
            "It begins with a small letter, ends with a letter or digit, and has small letters, digits and "
            f"underscores, at most {LONGEST} of them.",
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in RESERVED:
        raise ConfigError(f"'{name}' means something else in Python or in YAML", "Choose another name.")
    if recipe.kind is not None and any(c.name == name for c in registry.components(recipe.kind)):
        raise ConfigError(f"there is {recipe.kind.article} named '{name}' already", "Choose another name.")
    if kind == COMMAND and name in (*OWN_COMMANDS, *(known for known, _, _ in registry.commands())):
        raise ConfigError(f"there is a command 'pie {name}' already", "Choose another name.")
    for _, place in config_folders(registry):
        for group in recipe.groups:
            if (place / group / f"{name}.yaml").exists():
                raise ConfigError(f"there is an option {group}={name} already", "Choose another name.")
    if recipe.kind is Kind.FEATURES and name in ("perceptual", "recognition"):
        raise ConfigError(f"'{name}' is a role of feature networks", "Choose another name.")
    package, distribution = f"pie_{name}", f"pie-{name}"
    if importlib.util.find_spec(package) is not None or _installed(distribution):
        raise ConfigError(f"a package '{package}' is installed already", "Choose another name.")


def next_commands(path: Path, name: str, kind: str) -> str:
    """What to type next, in one line."""
    use = RECIPES[kind].use.replace("NAME", name)
    return f"pip install -e {shlex.quote(str(path))} && pie plugins check {name} && {use}"


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _values(name: str, kind: str, recipe: Recipe) -> dict[str, str]:
    """What the templates say `$...` for."""
    requires = ", ".join(f'"{what}"' for what in recipe.requires)
    return {
        "name": name,
        "Name": "".join(word.capitalize() for word in name.split("_")),
        "KIND": "" if recipe.kind is None else recipe.kind.name,
        "words": recipe.words,
        "summary": recipe.summary,
        "module": recipe.module,
        "requires": f"\n            requires=frozenset({{{requires}}})," if requires else "",
        "suite": recipe.suite,
        "use": recipe.use.replace("NAME", name),
        "api_version": repr(API_VERSION),
        "entry": ":plugin" if kind == OBSERVER else "",
        "where": f"`pie_{name}/plugin.py` declares it, `pie_{name}/{recipe.module}.py` does the work."
        if recipe.module != "plugin"
        else f"`pie_{name}/plugin.py` does the work.",
        "core": ".".join(re.findall(r"\d+", __version__)[:2]),
    }


def _write(templates: Path, target: Path, values: dict[str, str]) -> None:
    """Fill in the templates of one folder; NAME in a path stands for the name."""
    for source in sorted(templates.rglob(f"*{SUFFIX}")):
        relative = source.relative_to(templates).as_posix().removesuffix(SUFFIX)
        path = target / relative.replace("NAME", values["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        text = Template(source.read_text(encoding="utf-8")).substitute(values)
        path.write_text(text, encoding="utf-8")
