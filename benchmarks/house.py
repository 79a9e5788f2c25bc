"""The house, measured: its rooms, how large they are and who imports whom. Reads sources and imports none of them.

    python benchmarks/house.py table [REVISION ...]   # of the revisions and of the working tree, side by side
    python benchmarks/house.py picture                # docs/images/house.svg, from the imports and the layers
    python benchmarks/house.py calls                  # how often one small `pie run` discovers, parses and plans

A room is a package or a module directly in pie_framework, or a plugin. Lines are those of a file, blank ones too.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import grimp
import networkx

ROOT = Path(__file__).resolve().parent.parent
CORE = "pie_framework"
PICTURE = ROOT / "docs" / "images" / "house.svg"
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

#: What is not counted as the core, and what is its engine; rooms of the core.
OUTSIDE = ("cli", "testing", "rendering")
ENGINE = ("api", "composition", "optimisation")


@dataclass(frozen=True)
class House:
    """The sources of one tree.

    Attributes:
        folder: the root of the tree, with pie_framework/ and plugins/.
        files: module -> its file.
        arrows: module -> the modules it imports, anywhere in its file and for types alone too.
    """

    folder: Path
    files: Mapping[str, Path]
    arrows: Mapping[str, frozenset[str]]

    @cached_property
    def lines(self) -> Mapping[str, int]:
        """Module -> lines of its file."""
        return {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in self.files.items()}

    @cached_property
    def rooms(self) -> Mapping[str, int]:
        """Room -> lines of all its files. The core's own __init__.py, which only hands on public names, is none."""
        found: Counter[str] = Counter()
        for module, lines in self.lines.items():
            found[room(module)] += lines
        del found[CORE]
        return found

    @cached_property
    def room_arrows(self) -> Mapping[str, frozenset[str]]:
        """Room -> the rooms it imports."""
        found: dict[str, set[str]] = {name: set() for name in self.rooms}
        for module, imported in self.arrows.items():
            if module != CORE:
                found[room(module)] |= {room(other) for other in imported} - {room(module), CORE}
        return {name: frozenset(others) for name, others in found.items()}

    def long_files(self) -> list[str]:
        """`FILE: LINES` of every file that is longer than LONGEST_FILE."""
        return [f"{self._shown(name)}: {n}" for name, n in sorted(self.lines.items()) if n > LONGEST_FILE]

    def long_functions(self) -> list[str]:
        """`FILE:LINE NAME: LINES` of every function that is longer than LONGEST_FUNCTION, without its decorators."""
        found = []
        for name, file in sorted(self.files.items()):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    if lines > LONGEST_FUNCTION:
                        found.append(f"{self._shown(name)}:{node.lineno} {node.name}: {lines}")
        return found

    def _shown(self, module: str) -> str:
        return self.files[module].relative_to(self.folder).as_posix()


def room(module: str) -> str:
    """The room of a module: "pie_framework.ROOM", the plugin's name, or "pie_framework" itself."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == CORE else parts[:1])


def read_house(folder: Path = ROOT) -> House:
    """The house in a folder with pie_framework/ and plugins/; nothing of it is imported."""
    plugins = sorted(path.parent.name for path in (folder / "plugins").glob("*/__init__.py"))
    files = {}
    for parent, package in [(folder, CORE), *((folder / "plugins", name) for name in plugins)]:
        for file in (parent / package).rglob("*.py"):
            parts = file.relative_to(parent).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    with _first_on_path(folder, folder / "plugins"):
        graph = grimp.build_graph(CORE, *plugins, cache_dir=None)
    arrows = {name: frozenset(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    # Folders of templates have no __init__.py: their files are lines to read, and no modules.
    return House(folder, files, arrows)


@contextmanager
def _first_on_path(*folders: Path) -> Iterator[None]:
    """Packages are found here; those that this process has imported from elsewhere are out of sight meanwhile."""
    names = [name for name in sys.modules if name.partition(".")[0].startswith("pie_")]
    hidden = {name: sys.modules.pop(name) for name in names}
    before = list(sys.path)
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = before
        sys.modules.update(hidden)


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of more than one in which everyone imports everyone, at last."""
    graph = networkx.DiGraph([(a, b) for a, others in arrows.items() for b in others])
    return sorted(sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1)


# ---- the table ---------------------------------------------------------------------------------------------------


def figures(house: House) -> dict[str, int]:
    """What the table says of one house: figure -> number, sizes in lines."""
    core = {name.partition(".")[2]: n for name, n in house.rooms.items() if name.startswith(f"{CORE}.")}
    packages = {name for name in core if (house.folder / CORE / name).is_dir()}
    arrows = {a: {b for b in others if b in core} for a, others in _core(house.room_arrows).items()}
    found = {
        "core": sum(n for name, n in core.items() if name not in OUTSIDE),
        "engine": sum(core.get(name, 0) for name in ENGINE),
        **{f"{CORE}/{name}": core[name] for name in sorted(packages)},
        f"{CORE}/*.py": sum(n for name, n in core.items() if name not in packages) + house.lines[CORE],
        **{f"plugins/{name}": n for name, n in sorted(house.rooms.items()) if not name.startswith(CORE)},
    }
    whole = sum(house.lines.values())
    return {
        "lines": whole,
        **found,
        "modules": len(house.files),
        "modules of the core": sum(name.partition(".")[0] == CORE for name in house.files),
        f"files over {LONGEST_FILE} lines": len(house.long_files()),
        f"functions over {LONGEST_FUNCTION} lines": len(house.long_functions()),
        "rooms of the core": len(core),
        "arrows between them": sum(map(len, arrows.values())),
        "circles among them": len(circles(arrows)),
        "circles among modules": len(circles(house.arrows)),
    }


def _core(arrows: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The core's part, without the "pie_framework." of each name."""
    prefix = f"{CORE}."
    return {
        a.removeprefix(prefix): {b.removeprefix(prefix) for b in others if b.startswith(prefix)}
        for a, others in arrows.items()
        if a.startswith(prefix)
    }


def table(revisions: Sequence[str]) -> str:
    """The figures of revisions and of the working tree, as Markdown."""
    columns = {}
    for revision in revisions:
        with tempfile.TemporaryDirectory(prefix="house-") as folder:
            packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
                archive.extractall(folder, filter="data")
            columns[revision] = figures(read_house(Path(folder)))
    columns["working tree"] = figures(read_house())
    names = list(dict.fromkeys(name for column in reversed(columns.values()) for name in column))
    names.sort(key=lambda name: ("/" in name, name if "/" in name else ""))
    rows = [[name, *(str(column.get(name, "")) for column in columns.values())] for name in names]
    lines = [["", *columns], ["---", *("---:" for _ in columns)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


# ---- one run -----------------------------------------------------------------------------------------------------


def calls() -> dict[str, int]:
    """How often one small `pie run` of this process discovers plugins, parses a configuration and plans."""
    import torch

    from pie_framework.cli.main import main
    from pie_framework.composition import plan, schema
    from pie_framework.plugins import discovery

    counted = {
        function.__code__: function.__name__
        for function in (discovery.discover, schema.parse, plan.make_plan)
    }
    found: Counter[str] = Counter(dict.fromkeys(counted.values(), 0))

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in counted:
            found[counted[frame.f_code]] += 1

    steps = ("schedule.stages.0.steps=2", "schedule.stages.1.steps=1", "prior.pool=2", "device=cpu")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="house-") as folder:
        sys.setprofile(count)
        try:
            status = main(["run", "energy=full", "generator=stylegan2", f"outputs={folder}", *steps])
        finally:
            sys.setprofile(None)
    if status:
        raise SystemExit(status)
    return dict(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("table").add_argument("revision", nargs="*")
    commands.add_parser("picture")
    commands.add_parser("calls")
    options = parser.parse_args(arguments)
    if options.command == "table":
        print(table(options.revision))
    elif options.command == "calls":
        print(*(f"{name}: {n}" for name, n in calls().items()), sep="\n")
    else:
        from benchmarks.house_picture import draw

        house = read_house()
        PICTURE.write_text(draw(house.rooms, house.room_arrows, ROOT, ENGINE), encoding="utf-8")
        print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
    sys.exit(main())
