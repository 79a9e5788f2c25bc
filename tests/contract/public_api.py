"""The public surface: everything that a plugin may import, one fact a line, read from the sources.

    python tests/contract/public_api.py                 freezes it in public_api.txt and lists it in docs/plugins/api.md
    python tests/contract/public_api.py --unreleased    the same for a version of the contract that no release has yet

The first refuses a surface that changed without the version that it needs: a larger minor number for what is added, an
argument that may be left out among it, a larger major number for what is removed or changed. Only `ast` reads the
sources, so every Python sees the same.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FROZEN = Path(__file__).with_name("public_api.txt")
PAGE = ROOT / "docs" / "plugins" / "api.md"
BEGIN, END = "<!-- names: begin -->", "<!-- names: end -->"
COMMAND = "python tests/contract/public_api.py"
#: What only looks like a constant.
HELPERS = ("TypeVar", "ParamSpec", "getLogger")


def modules() -> list[str]:
    """The public modules, as import-linter's contract of the plugins names them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("# What is public:")[2]
    found = set()
    for name in re.findall(r'"\*\* -> ([\w.]+\w)(?:\.\*\*)?"', text.partition("]")[0]):
        found.add(name)
        if f'"** -> {name}.**"' in text:
            folder = ROOT / name.replace(".", "/")
            parts = (path.relative_to(ROOT).with_suffix("").parts for path in folder.rglob("*.py"))
            found |= {".".join(part).removesuffix(".__init__") for part in parts}
    return sorted(name for name in found if not re.search(r"\._|__", name))


def parse(module: str) -> ast.Module:
    path = ROOT / (module.replace(".", "/") + ".py")
    if not path.is_file():
        path = path.with_suffix("") / "__init__.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """What a module defines at its top, by name."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        for target in _targets(node):
            found[target] = node
    return found


def names(module: str) -> list[str]:
    """The public names of a module: those of its `__all__`, or all that it defines without an underscore."""
    tree = parse(module)
    defined = definitions(tree)
    if "__all__" in defined:
        listed = defined["__all__"]
        assert isinstance(listed, ast.Assign)
        return sorted(ast.literal_eval(listed.value))
    return sorted(name for name, node in defined.items() if not name.startswith("_") and not _is_helper(node))


def surface() -> str:
    """The version of the contract, then every fact."""
    public = modules()
    facts: set[str] = set()
    for module in public:
        tree = parse(module)
        defined, imported = definitions(tree), _imported(module, tree)
        for name in names(module):
            path = f"{module}.{name}"
            if name == "API_VERSION" and name in defined:
                facts.add(f"{path}: tuple[int, int]")  # the first line has its value
                continue
            if name in defined:
                facts |= set(describe(path, defined[name], name))
                continue
            home, original = imported[name]
            if home in public:
                facts.add(f"{path} is {home}.{original}")
            else:
                facts |= set(describe(path, definitions(parse(home))[original], original))
    version = definitions(parse("pie_framework.api.component"))["API_VERSION"]
    assert isinstance(version, ast.Assign)
    major, minor = ast.literal_eval(version.value)
    return "\n".join([f"version {major}.{minor}", "", *sorted(facts), ""])


def describe(path: str, node: ast.stmt, name: str) -> Iterator[str]:
    """The facts of one definition."""
    if isinstance(node, ast.FunctionDef):
        marks = [_text(mark) for mark in node.decorator_list]
        result = "" if node.returns is None else f" -> {_text(node.returns)}"
        yield f"{path}({_text(node.args)}){result}" + (f"  @{' @'.join(marks)}" if marks else "")
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(map(_text, [*node.bases, *node.keywords]))
        marks = [_text(mark) for mark in node.decorator_list]
        yield f"{path}: class({bases})" + (f"  @{' @'.join(marks)}" if marks else "")
        for inner, part in definitions(ast.Module(node.body, [])).items():
            dunder = inner.startswith("__") and inner.endswith("__")
            if (dunder or not inner.startswith("_")) and not inner.startswith("test_"):
                yield from describe(f"{path}.{inner}", part, inner)
            if inner == "__init__":
                yield from (f"{path}.{attribute}: attribute" for attribute in _attributes(part))
    elif isinstance(node, ast.AnnAssign):
        value = "" if node.value is None else f" = {_text(node.value)}"
        yield f"{path}: {_text(node.annotation)}{value}"
    elif isinstance(node, ast.Assign):
        yield f"{path} = {_text(node.value)}"


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    flat = [t for target in targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [target.id for target in flat if isinstance(target, ast.Name)]


def _is_helper(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and _text(value.func).rpartition(".")[2] in HELPERS


def _attributes(function: ast.stmt) -> Iterator[str]:
    """The public attributes that a method gives to `self`."""
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in (
            t for group in targets for t in (group.elts if isinstance(group, ast.Tuple) else [group])
        ):
            if isinstance(target, ast.Attribute) and _text(target.value) == "self" and target.attr[0] != "_":
                yield target.attr


def _imported(module: str, tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Where the names come from that a package takes from elsewhere: module and name there."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            home = f"{module}.{node.module}" if node.level else str(node.module)
            found.update({alias.asname or alias.name: (home, alias.name) for alias in node.names})
    return found


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def complaint(before: str, after: str) -> str:
    """Why one surface may not take the place of another; empty where it may."""
    old, new = _version(before), _version(after)
    was, now = set(before.splitlines()[1:]), set(after.splitlines()[1:])
    gone, added = sorted(was - now), sorted(now - was)
    gone = [line for line in gone if not any(_extends(line, other) for other in added)]
    if not gone and not added:
        return "" if new == old else f"the version is {new} and nothing changed since {old}"
    needed = (old[0] + 1, 0) if gone else (old[0], old[1] + 1)
    if new >= needed:
        return ""
    what = "something is removed or changed" if gone else "something is added"
    lines = [*(f"  - {line}" for line in gone), *(f"  + {line}" for line in added)]
    return "\n".join([f"{what} since {old}, so API_VERSION must be at least {needed}; it is {new}:", *lines])


def _extends(was: str, now: str) -> bool:
    """Whether a signature only got arguments that may be left out."""
    before, after = _signature(was), _signature(now)
    if before is None or after is None or before[0] != after[0]:
        return False
    places = len(before[1])
    more = [*after[1][places:], *(after[2] - before[2])]
    return after[1][:places] == before[1] and before[2] <= after[2] and all("=" in each for each in more)


def _signature(line: str) -> tuple[object, list[str], set[str]] | None:
    """Name, result and marks of a function's line; its arguments by place; those by name only."""
    found = re.fullmatch(r"([\w.]+)(\(.*\)(?: -> .*?)?)(  @.*)?", line)
    if found is None:
        return None
    (node,) = ast.parse(f"def f{found[2]}: ...").body
    assert isinstance(node, ast.FunctionDef)
    given, places = node.args, [*node.args.posonlyargs, *node.args.args]
    values = [None] * (len(places) - len(given.defaults)) + [_text(value) for value in given.defaults]
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    rest = [None if each is None else _text(each) for each in (given.vararg, given.kwarg, node.returns)]
    return (
        (found[1], found[3], rest),
        [_text(a) + ("" if v is None else f"={v}") for a, v in zip(places, values, strict=True)],
        {_text(a) + ("" if v is None else f"={_text(v)}") for a, v in named},
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.splitlines()[0].removeprefix("version ").split(".")
    return int(major), int(minor)


def listing() -> str:
    """The names by module, as the page shows them."""
    entries = []
    for module in modules():
        about = " ".join((ast.get_docstring(parse(module)) or "").partition("\n\n")[0].split())
        found = ", ".join(f"`{name}`" for name in names(module))
        entries.append(f"- **`{module}`**: {about}" + (f"\n\n    {found}" if found else ""))
    return "\n\n".join(entries)


def page(text: str) -> str:
    """The page with the names of today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{listing()}\n\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str]) -> int:
    now = surface()
    said = complaint(FROZEN.read_text(encoding="utf-8"), now) if FROZEN.is_file() else ""
    if said and arguments != ["--unreleased"]:
        print(f"{said}\nIf no release has this version yet: {COMMAND} --unreleased", file=sys.stderr)
        return 1
    FROZEN.write_text(now, encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
