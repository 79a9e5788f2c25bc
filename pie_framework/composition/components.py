"""The settings of chosen components: every one can be overridden and is shown, whether or not a YAML file names it.

A configuration chooses a component by its name; which settings it has, with which defaults, says its dataclass. Before
Hydra composes, an override of a setting is made one that may add a key (`opened`); afterwards the settings are checked,
and those that nobody gave are put in with their defaults (`complete`). Imports no torch.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override

from pie_framework.api import Component, Kind, Slot
from pie_framework.composition.plan import NONE, naming
from pie_framework.composition.schema import CHOSEN
from pie_framework.errors import ConfigError, PluginError, did_you_mean
from pie_framework.plugins import Registry
from pie_framework.settings import check_types, defaults, over, resolved

#: Keys under which a configuration chooses components: those of a run, and two that `pie bench` has beside them.
KINDS: Mapping[str, Kind] = {
    **{key: Kind(key) for key in CHOSEN},
    "scenes": Kind.SCENES,
    "judge": Kind.ENCODER,
}
_SLOTTED = [key for key, kind in KINDS.items() if kind.slot in (Slot.PER_BLOCK, Slot.PER_ROLE)]
_PLAIN = [key for key in KINDS if key not in _SLOTTED]
_SETTING = re.compile(
    rf"(?:(?:{'|'.join(_PLAIN)})\.|(?:{'|'.join(_SLOTTED)})\.[^.=@\s]+\.|terms\.[^.=@\s]+\.options\.)[^=@\s]+="
    r"|terms\.[^.=@\s]+\.(?:options|weight(?:\.[^=@\s]+)?)="
)
_RENAMING = re.compile(rf"\+*(?:{'|'.join(KINDS)})(?:\.[^.=@\s]+)?\.(?:name|component)=")

_log = logging.getLogger(__name__)


def opened(overrides: Sequence[str]) -> list[str]:
    """Overrides for Hydra: a setting of a component or term may be a key that no YAML file has. Other words stay."""
    return [f"++{word}" if _SETTING.match(word) else word for word in overrides]


def complete(
    config: DictConfig,
    registry: Registry,
    overrides: Sequence[str],
    composed: Callable[[Sequence[str]], DictConfig],
) -> None:
    """Check the settings of every chosen component that is registered, and put in the defaults of those not given.

    Args:
        config: composed by Hydra; changed in place.
        registry: the installed components.
        overrides: those it was composed from.
        composed: composes other overrides in the same way. It is called where one puts a component in the place of
            that of a group's option (`generator.name=mine`): it has none of the option's settings, only those given.

    Raises:
        ConfigError: a setting that the component does not have (names the near ones), or of another type, or of a
            block or role that is not there.
        ComponentError: an override names a component that is not registered.
    """
    given = _keys(overrides)
    others = [word for word in overrides if not _RENAMING.match(word)]
    before = composed(others) if len(others) < len(overrides) else None
    with flag_override(config, ["struct", "readonly"], False):
        for kind, where in _places(config):
            node = _node(config, where)
            if node is None:
                continue
            name = node.get(naming(node))
            if _only_given(node, where, given):
                there = before is not None and _was_there(before, where, _keys(others))
                _check_place(config, kind, where, overrides, there or (before is None and where in given))
            if not isinstance(name, str):
                raise _unnamed(config, where, given)
            if before is not None and name != _name(before, where):
                for key in [k for k in node if k != naming(node) and not _gives(given, f"{where}.{k!s}")]:
                    del node[key]
            _settle(config, registry, kind, name, node, where, given)
        terms = OmegaConf.select(config, "terms")
        for name in list(terms) if isinstance(terms, DictConfig) else ():
            _complete_term(config, registry, str(name), given)


def _places(config: DictConfig) -> Iterator[tuple[Kind, str]]:
    """The kinds that a configuration may choose components of, with the keys of their settings."""
    for key, kind in KINDS.items():
        if kind.slot in (Slot.PER_BLOCK, Slot.PER_ROLE):
            roles = OmegaConf.select(config, key)
            for role in list(roles) if isinstance(roles, DictConfig) else ():
                yield kind, f"{key}.{role}"
        else:
            yield kind, key


def _node(config: DictConfig, where: str) -> DictConfig | None:
    """The settings under a key, with the name; None for nothing, and for what `config.parse` refuses."""
    node = OmegaConf.select(config, where)
    if isinstance(node, str) and node:
        OmegaConf.update(config, where, {"name": node}, merge=False)
        node = OmegaConf.select(config, where)
    return node if isinstance(node, DictConfig) and node else None


def _name(config: DictConfig, where: str) -> object:
    node = _node(config, where)
    return None if node is None else node.get(naming(node))


def _gives(given: Sequence[str], key: str) -> bool:
    """Whether an override gives a setting or a part of it."""
    return any(other == key or other.startswith(f"{key}.") for other in given)


def _keys(overrides: Sequence[str]) -> list[str]:
    return [word.lstrip("+").partition("=")[0] for word in overrides]


def _only_given(node: DictConfig, where: str, given: Sequence[str]) -> bool:
    """Whether all of a node comes from overrides, so that no file chooses anything there."""
    return where in given or all(_gives(given, f"{where}.{key!s}") for key in node)


def _was_there(before: DictConfig, where: str, given: Sequence[str]) -> bool:
    """Whether a file chooses something there: `before` is what other overrides, the given ones, compose to."""
    node = _node(before, where)
    return node is not None and not _only_given(node, where, given)


def _check_place(config: DictConfig, kind: Kind, where: str, overrides: Sequence[str], there: bool) -> None:
    """Refuse what overrides give for a block that the run does not have, or for a role that nobody added."""
    parent, _, role = where.rpartition(".")
    others = [str(key) for key in OmegaConf.select(config, parent) if key != role] if parent else []
    if there or not parent:
        return
    if kind.slot is Slot.PER_BLOCK:
        blocks = OmegaConf.select(config, "blocks")
        if isinstance(blocks, ListConfig) and role not in blocks:
            hint = did_you_mean(role, map(str, blocks))
            if role in ("name", "component"):
                hint = f"Give {parent}.BLOCK.{role}=NAME."
            raise ConfigError(f"there is no setting '{where}': the run has no block '{role}'", hint)
        return
    # A person adds a key with one plus; `opened` puts two.
    added = [word for word in overrides if re.match(r"\+(?!\+)", word)]
    if not _gives(_keys(added), where):
        hint = did_you_mean(role, others)
        if not difflib.get_close_matches(role, others, cutoff=0.5):
            hint += f" A role is added with +{where}.name=NAME."
        raise ConfigError(f"there is no setting '{where}'", hint)


def _unnamed(config: DictConfig, where: str, given: Sequence[str]) -> ConfigError:
    """Settings of nothing: most likely the block or role is misspelt, or the configuration is not one of a run."""
    chosen = [key for key in CHOSEN if (node := _node(config, key)) and not _only_given(node, key, given)]
    if "." not in where and _gives(given, where) and not (where in CHOSEN and chosen):
        return ConfigError(
            f"there is no setting '{where}'",
            did_you_mean(where, (str(k) for k in config if k not in (where, "hydra"))),
        )
    parent, _, role = where.rpartition(".")
    others = [str(key) for key in OmegaConf.select(config, parent)] if parent else []
    if near := difflib.get_close_matches(role, [other for other in others if other != role], cutoff=0.5):
        return ConfigError(f"there is no setting '{where}'", did_you_mean(role, near))
    return ConfigError(f"{where} does not say which component it is", f"Give {where}.name=NAME.")


def _settle(
    config: DictConfig,
    registry: Registry,
    kind: Kind,
    name: str,
    node: DictConfig,
    where: str,
    given: Sequence[str],
) -> None:
    """Complete the settings of one component in place."""
    key = naming(node)
    component = registry.find(kind, name)
    if component is None:
        if name != NONE and (where in given or f"{where}.{key}" in given):
            # It raises; of what a file says `requirements.check` tells, where a run needs it.
            registry.get(kind, name)
        if name == NONE and len(node) > 1:
            other = next(str(k) for k in node if k != key)
            raise ConfigError(
                f"there is no setting '{where}.{other}': {where} is {NONE}", f"Choose one with {kind}=NAME."
            )
        return
    settings = _completed(registry, component, node, where, key)
    if settings is not None:
        # Where a setting is itself called `name`, the component is named by the other key.
        key = "component" if key in settings else key
        OmegaConf.update(config, where, {key: name, **settings}, merge=False)


def _complete_term(config: DictConfig, registry: Registry, name: str, given: Sequence[str]) -> None:
    where = f"terms.{name}"
    term = OmegaConf.select(config, where)
    if not isinstance(term, DictConfig):
        return  # `config.parse` refuses it
    if "term" not in term:
        others = [str(other) for other in config.terms if other != name]
        if others and where not in given and _gives(given, where):
            raise ConfigError(f"there is no setting '{where}'", did_you_mean(name, others))
        raise ConfigError(f"{where}.term must be given", f"Give {where}.term=NAME.")
    component = registry.find(Kind.ENERGY, str(term.get("term")))
    if component is None and (where in given or f"{where}.term" in given):
        registry.get(Kind.ENERGY, str(term.get("term")))  # raises
    options = term.get("options", OmegaConf.create({}))
    if component is not None and isinstance(options, DictConfig):
        settings = _completed(registry, component, options, f"{where}.options")
        if settings is not None:
            OmegaConf.update(config, f"{where}.options", settings, merge=False)


def _completed(
    registry: Registry, component: Component, node: DictConfig, where: str, key: str = ""
) -> dict[str, Any] | None:
    """The settings in a node but `key`, checked and with those not given; None where the dataclass is at fault."""
    try:
        known = defaults(component.config)
    except PluginError as error:  # a plugin's dataclass may hold anything; where a run needs it, the run ends
        _log.warning("%s: %s", registry.described(component), error)
        return None
    check_types(component.config, {k: v for k, v in resolved(node, where).items() if k != key}, where)
    raw = OmegaConf.to_container(node, resolve=False)
    assert isinstance(raw, dict)
    return over(known, {str(k): v for k, v in raw.items() if k != key})
