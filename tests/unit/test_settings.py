"""Dataclasses filled with values, and what a person is told of a wrong one."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Interval, IsFinite, MinLen
from omegaconf import OmegaConf

from pie_framework.errors import ConfigError, PluginError
from pie_framework.settings import check_types, defaults, described, merge


@dataclass(frozen=True)
class Sample:
    count: int = 1
    ratio: float = 0.5
    names: tuple[str, ...] = ("a",)
    pair: tuple[float, float] = (0.0, 1.0)
    path: str | None = None


def test_merge_gives_the_components_own_dataclass():
    made = merge(Sample, OmegaConf.create({"names": ["x", "y"], "pair": [1, 2], "path": "p"}), "sample")
    assert made == Sample(1, 0.5, ("x", "y"), (1.0, 2.0), "p")
    assert merge(Sample, {}) == Sample()


@dataclass(frozen=True)
class Nest:
    sample: Sample = field(default_factory=lambda: Sample(count=4))
    depth: int = 2


def test_frozen_dataclasses_inside_one_another_are_filled():
    assert merge(Nest, {}) == Nest()
    assert merge(Nest, {"sample": {"names": ["z"]}}) == Nest(Sample(4, names=("z",)))
    with pytest.raises(ConfigError, match=r"no setting 'nest.sample.cuont'. Did you mean 'count'"):
        merge(Nest, {"sample": {"cuont": 1}}, "nest")
    with pytest.raises(ConfigError, match=r"nest.sample.pair: 3 values were given, it takes 2"):
        merge(Nest, {"sample": {"pair": [1, 2, 3]}}, "nest")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cuont": 1}, "no setting 'sample.cuont'. Did you mean 'count'"),
        ({"count": "many"}, "sample.count: 'many' is not a whole number"),
        ({"names": 3}, "sample.names: one value was given where a list is expected"),
        ({"pair": [1, 2, 3]}, "sample.pair: 3 values were given, it takes 2"),
        ({"count": None}, "sample.count: it may not be null"),
        ({"path": [1]}, "sample.path: a list was given where one value is expected"),
        ({"path": {"a": 1}}, "sample.path: a group was given where one value is expected"),
        ({"count": "a\nb"}, "sample.count: 'a b' is not a whole number"),
        ({"count": "???"}, "sample.count must be given"),
    ],
)
def test_merge_names_what_is_wrong(values: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        merge(Sample, values, "sample")


@dataclass(frozen=True)
class Careful:
    amount: int = 1
    inner: Sample | None = None

    def __post_init__(self) -> None:
        if self.amount == 2:
            raise ConfigError("amount is 2")
        if self.amount == 3:
            raise ZeroDivisionError("by three")
        if self.amount == 4:
            raise ValueError("amount is 4")


def test_what_a_dataclass_refuses_is_told_with_its_key():
    with pytest.raises(ConfigError, match=r"^generator: amount is 2$"):
        merge(Careful, {"amount": 2}, "generator")
    with pytest.raises(ConfigError, match=r"^generator: amount is 4$"):
        merge(Careful, {"amount": 4}, "generator")


def test_a_dataclass_that_fails_is_a_fault_of_its_author():
    with pytest.raises(
        PluginError, match=r"^the settings Careful cannot be made: ZeroDivisionError: by three$"
    ):
        merge(Careful, {"amount": 3}, "generator")


def test_an_optional_group_may_be_null():
    assert merge(Careful, {"inner": None}) == Careful()


def test_typed_settings_need_not_be_complete_or_accepted():
    check_types(Sample, {"path": "???"})
    check_types(Careful, {"amount": 3})
    with pytest.raises(ConfigError, match=r"a\.amount: 'x' is not a whole number"):
        check_types(Careful, {"amount": "x"}, "a")
    assert defaults(Nest) == {
        "sample": {"count": 4, "ratio": 0.5, "names": ["a"], "pair": [0.0, 1.0], "path": None},
        "depth": 2,
    }


@dataclass
class Entry:
    name: str
    amount: int = 1
    folder: Path = Path("there")

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("amount is negative")


@dataclass
class Listing:
    first: Entry
    entries: list[Entry] = field(default_factory=list)


def test_a_group_that_must_be_given_says_so() -> None:
    assert defaults(Listing) == {"first": "???", "entries": []}
    with pytest.raises(ConfigError, match=r"^a\.first must be given"):
        merge(Listing, {"first": "???"}, "a")
    assert defaults(Entry)["folder"] == "there"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"amount": 2}, "a.entries.1.name must be given"),
        ({"name": "x", "amount": -1}, "a.entries.1: amount is negative"),
        ({"name": "x", "amuont": 1}, "no setting 'a.entries.1.amuont'"),
    ],
)
def test_what_is_wrong_in_a_list_says_where(entry: dict[str, Any], said: str) -> None:
    values = {"first": {"name": "f"}, "entries": [{"name": "ok"}, entry]}
    with pytest.raises(ConfigError, match=re.escape(said)):
        merge(Listing, values, "a")


def test_nothing_in_a_list_need_be_given_where_only_types_are_checked() -> None:
    check_types(Listing, {"entries": [{"amount": -1}]})


@dataclass
class Leaving:
    amount: int = field(default_factory=lambda: sys.exit(0))


@dataclass
class Nowhere:
    amount: "Gone" = 1  # type: ignore[name-defined, assignment]  # noqa: F821, UP037


@pytest.mark.parametrize("schema", [Leaving, Nowhere])
def test_a_dataclass_that_cannot_be_read_is_at_fault(schema: type) -> None:
    for read in (defaults, lambda schema: merge(schema, {"amount": 1})):
        with pytest.raises(PluginError, match=f"^the settings {schema.__name__} cannot be made: "):
            read(schema)


@dataclass(frozen=True)
class Ranges:
    count: Annotated[int, Ge(1)] = 1
    share: Annotated[float, Interval(gt=0, le=1)] = 0.5
    real: IsFinite[float] = 0.0
    limit: Annotated[int, Ge(0)] | None = None
    kind: Literal["mean", "sum"] = "mean"
    sizes: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(2)] = (1, 2)
    groups: dict[Literal["left", "right"], dict[str, Any]] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": 0}, "a.count: 0 is too small. It is at least 1."),
        ({"count": True}, "a.count: True is not a number"),
        ({"share": 0}, "a.share: 0 is too small. It is above 0.0."),
        ({"share": 1.5}, "a.share: 1.5 is too large. It is at most 1.0."),
        ({"share": float("nan")}, "a.share: nan is not a finite number. It is at most 1.0."),
        ({"real": float("inf")}, "a.real: inf is not a finite number"),
        ({"limit": -1}, "a.limit: -1 is too small. It is at least 0."),
        ({"limit": True}, "a.limit: True is not a number"),
        ({"kind": "summ"}, "a.kind: 'summ' is not one of its values. Did you mean 'sum'?"),
        ({"sizes": [1]}, "a.sizes: 1 values were given, it takes 2 at least"),
        ({"sizes": [3, 0]}, "a.sizes.1: 0 is too small. It is at least 1."),
        ({"groups": {"lefft": {}}}, "there is no setting 'a.groups.lefft'. Did you mean 'left'?"),
        ({"groups": {"left": 3}}, "a.groups.left: one value was given where a group is expected"),
    ],
)
def test_what_is_out_of_range_is_one_line(values: dict[str, Any], said: str) -> None:
    for read in (merge, check_types):
        with pytest.raises(ConfigError) as error:
            read(Ranges, values, "a")
        assert str(error.value) == said


def test_the_ends_of_ranges_belong_to_them_or_not() -> None:
    ends = {
        "count": 1,
        "share": 1,
        "limit": 0,
        "kind": "sum",
        "sizes": [1, 1],
        "groups": {"left": {"x": None}},
    }
    assert merge(Ranges, ends) == Ranges(1, 1.0, 0.0, 0, "sum", (1, 1), {"left": {"x": None}})
    assert merge(Ranges, {"limit": None}) == Ranges()


def test_settings_are_described_by_their_types() -> None:
    kinds = {name: kind for name, kind, _ in described(Ranges)}
    assert (kinds["count"], kinds["kind"]) == ("int", "Literal['mean', 'sum']")
