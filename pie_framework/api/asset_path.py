"""The type of settings that name a file which a component loads."""

from __future__ import annotations

import dataclasses
import typing
from typing import Annotated


class _NamesAsset:
    """Marks a text as the address of an asset."""


#: A setting whose text is `pkg://package/path`, `asset://NAME`, or a path. Where its default is `MISSING` or an empty
#: text, it has to be given. Everywhere else than in `asset_settings` it is a `str`.
AssetPath = Annotated[str, _NamesAsset()]


def asset_settings(config: type) -> tuple[str, ...]:
    """The settings of a dataclass that are an `AssetPath` (or None), in their order.

    A dataclass whose annotations cannot be evaluated has none here; whoever makes its settings says what is wrong.
    """
    try:
        hints = typing.get_type_hints(config, include_extras=True)
    except Exception:  # annotations are a plugin's code
        return ()
    return tuple(f.name for f in dataclasses.fields(config) if _is_asset(hints[f.name]))


def _is_asset(hint: object) -> bool:
    if any(isinstance(mark, _NamesAsset) for mark in getattr(hint, "__metadata__", ())):
        return True
    return any(_is_asset(inner) for inner in typing.get_args(hint) if inner is not hint)
