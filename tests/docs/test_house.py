"""docs/house.md and its picture are true of the sources, and no room is too large."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.house import CORE, ENGINE, PICTURE, ROOT, House, circles, read_house, room
from benchmarks.house_picture import PURPOSES, draw, read_contracts

PAGE = ROOT / "docs" / "house.md"


@pytest.fixture(scope="module")
def house() -> House:
    return read_house()


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its first two lines."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# ---- rooms -------------------------------------------------------------------------------------------------------


def test_every_room_and_plugin_is_on_the_page(house: House, page: str) -> None:
    rooms = {name for name in house.rooms if name.startswith("pie_framework.")}
    assert {f"pie_framework.{row[0].strip('`')}" for row in rows(page, "The rooms")} == rooms
    assert {row[0].strip("`") for row in rows(page, "The plugins")} == set(house.rooms) - rooms


def test_rooms_import_what_the_page_says(house: House, page: str) -> None:
    table = rows(page, "The rooms")
    order = [row[0].strip("`") for row in table]
    for i, (name, _, may) in enumerate((row[0].strip("`"), row[1], row[2]) for row in table):
        named = re.findall(r"`(\w+)`", may)
        if may.startswith("everything below"):
            allowed = set(order[i + 1 :]) - set(named)
        elif may.endswith(" and below"):
            allowed = set(order[order.index(named[0]) :])
        else:
            allowed = set(named)
        imported = {other.removeprefix(f"{CORE}.") for other in house.room_arrows[f"{CORE}.{name}"]}
        assert imported <= allowed, f"{name} imports {sorted(imported - allowed)}"


# ---- the walk ----------------------------------------------------------------------------------------------------


def steps(page: str) -> Iterator[tuple[Path, Path | None, bool]]:
    """Every step of the walks: its file, the file it stands under, and whether a plugin takes it."""
    above: list[Path] = []
    walk = page.partition("\n## The walk of one portrait\n")[2].partition("\n## ")[0]
    for indent, star, name in re.findall(r"^( *)- (\*?)`([\w/]+\.py)`", walk, re.M):
        depth, odd = divmod(len(indent), 4)
        assert not odd and depth <= len(above), f"{name} is indented wrongly"
        above[depth:] = [ROOT / name]
        yield ROOT / name, above[depth - 1] if depth else None, bool(star)


def test_there_are_two_walks(page: str) -> None:
    first = [file for file, parent, _ in steps(page) if parent is None]
    assert first == [ROOT / "pie_framework" / "cli" / "main.py"] * 2
    assert len(list(steps(page))) > 30


def test_each_step_is_imported_by_the_one_above(house: House, page: str) -> None:
    modules = {file: name for name, file in house.files.items()}
    for file, parent, plugin in steps(page):
        assert file.is_file(), f"{file.relative_to(ROOT)} does not exist"
        if parent is not None and not plugin:
            assert imports(house, modules[parent], modules[file]), (
                f"{parent.name} does not import {file.name}"
            )


def imports(house: House, module: str, wanted: str) -> bool:
    """Whether a module imports another: itself, through the package that hands it on, or by its name in a table."""
    found = house.arrows[module]
    if wanted in found or f'"{wanted}"' in "".join(house.files[n].read_text() for n in found if ".cli." in n):
        return True
    packages = [wanted.rpartition(".")[0]]
    return any(package in found and wanted in house.arrows[package] for package in packages)


def test_no_step_goes_back(house: House, page: str) -> None:
    modules = {file: name for name, file in house.files.items()}
    layers, _ = read_contracts(ROOT / "pyproject.toml")
    level = {f"pie_framework.{name}": row for row, names in enumerate(layers) for name in names}
    for file, parent, plugin in steps(page):
        assert plugin == (file.relative_to(ROOT).parts[0] == "plugins")
        if parent is not None and not plugin:
            above, here = room(modules[parent]), room(modules[file])
            assert above == here or level[above] < level[here], f"{above} -> {here} goes up"


# ---- the picture -------------------------------------------------------------------------------------------------


def test_the_picture_is_that_of_the_sources(house: House) -> None:
    """But for the numbers of lines, which every change moves."""
    drawn = draw(house.rooms, house.room_arrows, ROOT, ENGINE)
    shown = PICTURE.read_text(encoding="utf-8")
    numbers = re.compile(r'(class="l [me]"[^>]*>)\d+')
    assert numbers.sub(r"\1", shown) == numbers.sub(r"\1", drawn), "run: python benchmarks/house.py picture"


def test_every_room_has_a_purpose_in_the_picture(house: House) -> None:
    assert {f"pie_framework.{name}" for name in PURPOSES} == {
        n for n in house.rooms if n.startswith(CORE + ".")
    }


# ---- sizes -------------------------------------------------------------------------------------------------------


def test_no_file_is_too_long(house: House) -> None:
    found = house.long_files()
    assert not found, "\n".join(found)


def test_no_function_is_too_long(house: House) -> None:
    found = house.long_functions()
    assert not found, "\n".join(found)


def test_what_is_too_long_or_in_a_circle_is_found(tmp_path: Path) -> None:
    for name in ("pie_framework", "plugins/pie_one"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
    body = "\n".join(["def f():", *["    pass"] * 60])
    (tmp_path / "pie_framework" / "long.py").write_text(
        body + "\n" + "# \n" * 340 + "import pie_framework.other\n"
    )
    (tmp_path / "pie_framework" / "other.py").write_text("def g():\n    import pie_framework.long\n")
    small = read_house(tmp_path)
    assert small.long_files() == ["pie_framework/long.py: 402"]
    assert small.long_functions() == ["pie_framework/long.py:1 f: 61"]
    assert circles(small.arrows) == [["pie_framework.long", "pie_framework.other"]]
    assert dict(small.rooms) == {"pie_framework.long": 402, "pie_framework.other": 2, "pie_one": 0}
