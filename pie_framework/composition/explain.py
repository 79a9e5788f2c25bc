"""What Hydra, OmegaConf and YAML raise while a configuration is composed, each as one line."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hydra import compose as hydra_compose
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from pie_framework.api import Slot
from pie_framework.composition import hydra_setup
from pie_framework.composition.components import KINDS, opened
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.settings import omegaconf_message

LISTS = "Parts of a list are counted from 0, as in schedule.stages.0.steps."


@dataclass(frozen=True)
class _Failure:
    """An error with what was to be composed: the exceptions, outermost first, a root configuration and overrides."""

    chain: tuple[BaseException, ...]
    root: str
    overrides: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(str(error) for error in self.chain)

    def groups(self) -> list[str]:
        """All configuration groups but Hydra's own."""
        return hydra_setup.groups(self.root, self.overrides)

    def options(self, group: str) -> list[str]:
        with suppress(OSError):  # a name may be too long for a file system
            return hydra_setup.options(group, root=self.root, overrides=self.overrides)
        return []

    def keys(self, parent: str, wrong: str) -> list[str] | None:
        """Keys of a node of the composition at hand: that of the other overrides, or at least of the options chosen.

        None where nothing composes.
        """
        others = [word for word in self.overrides if _key(word) != wrong]
        choices = [word for word in others if "." not in _key(word).partition("@")[0]]
        folders = [word for word in others if word.startswith("hydra.searchpath=")]
        for words in (others, folders + choices, folders):
            try:
                with hydra_setup.initialised():
                    config = hydra_compose(self.root, overrides=opened(words))
                node = OmegaConf.select(config, parent) if parent else config
            except Exception:  # these do not compose either; fewer might
                continue
            return [str(key) for key in node] if isinstance(node, DictConfig) else []
        return None


#: What is raised on purpose where a configuration is wrong, and whose code stumbles over one that is.
_RAISED = (HydraException, OmegaConfBaseException, YAMLError, OSError, UnicodeError, RecursionError)
_READERS = ("hydra", "omegaconf", "antlr4", "yaml")


def explicable(error: BaseException) -> bool:
    """Whether an error says something of a configuration; any other is a fault of the code that raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    last = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return isinstance(error, _RAISED) or last.partition(".")[0] in _READERS


def explain(error: Exception, root: str, overrides: Sequence[str] = ()) -> ConfigError:
    """Whatever was raised while composing, as one line that names the file, or the near groups, options or keys.

    Args:
        error: by Hydra, OmegaConf or YAML.
        root: name of the root configuration.
        overrides: of what was composed.
    """
    failure = _Failure(tuple(_chain(error)), root, tuple(overrides))
    for explanation in _EXPLANATIONS:
        explained = explanation(failure)
        if explained is not None:
            return explained
    return _otherwise(failure)


def _missing_config(failure: _Failure) -> ConfigError | None:
    cause = next((e for e in failure.chain if isinstance(e, MissingConfigException)), None)
    if cause is None or not cause.missing_cfg_file:
        return None
    group, slash, option = str(cause.missing_cfg_file).rpartition("/")
    where = re.match(r"In '(.+?)': ", str(cause))
    place = f"in '{where[1]}': " if where and where[1] not in (failure.root, "hydra/config") else ""
    options = [name for name in cause.options or () if name]
    if not slash:
        return ConfigError(f"{place}there is no configuration '{option}'")
    if not options and (known := failure.groups()) and group.partition("/")[0] not in known:
        return ConfigError(f"{place}there is no group '{group}'", did_you_mean(group, known))
    hint = did_you_mean(option, options) if options else None
    return ConfigError(f"{place}the group '{group}' has no option '{option}'", hint)


def _unreadable_override(failure: _Failure) -> ConfigError | None:
    cause = next((e for e in failure.chain if isinstance(e, OverrideParseException)), None)
    if cause is None:
        return None
    word = str(cause.override)
    word = word if word in failure.overrides else word.removeprefix("++")
    hint = "Quote values with special characters: 'KEY=\"a, b\"'."
    if not _key(word).isascii():
        hint = "Keys are made of the letters a to z, digits and underscores."
    return ConfigError(f"'{word}' is not KEY=VALUE", hint)


def _unreadable_file(failure: _Failure) -> ConfigError | None:
    for cause in failure.chain:
        if isinstance(cause, MarkedYAMLError) and (mark := cause.problem_mark or cause.context_mark):
            problem = cause.problem or cause.context or "it cannot be read"
            if "recursive" in problem:
                return ConfigError(f"{_in_file(failure)}it refers to itself in '{mark.name}'")
            hint = "Indent with spaces." if "\\t" in problem else None
            return ConfigError(f"'{mark.name}', line {mark.line + 1}, is not valid YAML: {problem}", hint)
        if isinstance(cause, (ReaderError, UnicodeDecodeError)):
            place = _in_file(failure) or "a file of the configuration: "
            return ConfigError(f"{place}it is not UTF-8 text: {cause.reason}")
    return None


def _circle(failure: _Failure) -> ConfigError | None:
    if not any(isinstance(error, RecursionError) for error in failure.chain):
        return None
    # Hydra goes down a defaults list with one call per file.
    paths = [
        str(frame.f_locals["path"])
        for error in failure.chain
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "_create_defaults_tree_impl" and "path" in frame.f_locals
    ]
    again = next((i for i, path in enumerate(paths) if path in paths[:i]), None)
    if again is None:
        place = _in_file(failure) or "the configuration: "
        return ConfigError(f"{place}it refers to itself, or is nested too deeply")
    circle = paths[paths.index(paths[again]) : again + 1]
    return ConfigError(f"defaults lists go round in a circle: {' -> '.join(circle)}")


def _no_group(failure: _Failure) -> ConfigError | None:
    text = failure.text
    unmatched = re.search(
        r"(In '.+?': )?Could not override '([^']*)'\.\s+?No match in the defaults list", text
    )
    moved = re.search(r"Could not override '([^'@]+)@([^']+)'\.\s+Did you mean to override ([^\s?]+)", text)
    if moved:
        return ConfigError(
            f"the group '{moved[1]}' is not chosen at '{moved[2]}'", f"Did you mean '{moved[3]}'?"
        )
    if not unmatched:
        return None
    name = unmatched[2].partition("@")[0]
    place = "" if not unmatched[1] else f"i{unmatched[1][1:]}"
    known = failure.groups()
    if not place:
        known += failure.keys("", unmatched[2]) or []
    if name in known:
        message = f"{place}the group '{unmatched[2]}' is not chosen, so it cannot be chosen otherwise"
        return ConfigError(message, f"Add it with +{unmatched[2]}=OPTION.")
    return ConfigError(f"{place}there is no group '{name}'", did_you_mean(name, known))


def _no_key(failure: _Failure) -> ConfigError | None:
    unknown = re.search(r"Key '([^']+)' is not in struct.*\s*\n\s*full_key: (\S+)", failure.text)
    if not unknown:
        return None
    full = _dotted(unknown[2])
    parent, _, name = full.rpartition(".")
    given = re.search(r"Could not (?:override|append to|delete from config) '([^']+)'", failure.text)
    wrong = given[1] if given else full
    groups = [] if parent else failure.groups()
    if name in groups:
        return ConfigError(f"there is no setting '{wrong}'", f"Choose an option of the group: {name}=OPTION.")
    keys = failure.keys(parent, wrong)
    known = [*(keys or ()), *groups]
    hint = "" if keys is None else f"'{parent}' has no settings."
    hint = did_you_mean(name, known) if known else hint
    return ConfigError(f"there is no setting '{full}'", f"{hint}{_added(parent, name, known)}".strip())


def _added(parent: str, name: str, known: Sequence[str]) -> str:
    """How else to give a key that no file has, where there may be others than those known."""
    if difflib.get_close_matches(name, known, cutoff=0.5):
        return ""
    if parent in KINDS and KINDS[parent].slot is Slot.PER_BLOCK:
        return f" Give it for one block: {parent}.BLOCK.{name}."
    if parent in KINDS and KINDS[parent].slot is Slot.PER_ROLE:
        return f" Give it for one role: {parent}.ROLE.{name}."
    return f" Add it with +{parent}.{name}." if re.fullmatch(r"terms\.\w+\.parts", parent) else ""


def _list_index(failure: _Failure) -> ConfigError | None:
    for cause in failure.chain:
        if isinstance(cause, IndexError) and (key := getattr(cause, "full_key", None)):
            where, _, index = _dotted(str(key)).rpartition(".")
            return ConfigError(f"there is no setting '{where}.{index}': the list is not that long", LISTS)
        word = re.fullmatch(r"Index '(.*)' \(str\) is not an int", str(cause))
        if word:
            keys = [_key(word) for word in failure.overrides]
            key = next((key for key in keys if word[1] in key.split(".")), word[1])
            return ConfigError(
                f"there is no setting '{key}': '{word[1]}' stands where a list has numbers", LISTS
            )
    return None


def _several_values(failure: _Failure) -> ConfigError | None:
    ambiguous = re.search(r"Ambiguous value for argument '(.*)'", failure.text)
    if not ambiguous:
        return None
    key, _, value = ambiguous[1].lstrip("+").partition("=")
    return ConfigError(
        f"'{key}={value}' gives several values",
        f"Give a list as '{key}=[{value}]', a text as '{key}=\"{value}\"', or make a run for each with -m.",
    )


def _there_or_not(failure: _Failure) -> ConfigError | None:
    if key := re.search(r"An item is already at '([^']+)'", failure.text):
        return ConfigError(f"'{key[1]}' is there already", f"Leave out the +: {key[1]}=VALUE.")
    if key := re.search(r"Could not delete from config\. '([^']+)' does not exist", failure.text):
        return ConfigError(f"'{key[1]}' is not there, so it cannot be taken away", f"Leave out ~{key[1]}.")
    return None


def _no_choice(failure: _Failure) -> ConfigError | None:
    """A group takes the name of an option; Hydra lets lists and numbers through, and stumbles over them later."""
    if any(isinstance(error, OmegaConfBaseException) for error in failure.chain):
        return None
    for word in failure.overrides:
        key, _, value = word.lstrip("+").partition("=")
        if not re.fullmatch(r"\w+(/\w+)*", key) or re.fullmatch(r"(?!null$)[A-Za-z_][\w/,-]*", value):
            continue
        if options := failure.options(key):
            return ConfigError(
                f"'{word}' does not choose an option of the group '{key}'", did_you_mean(value, options)
            )
    return None


_EXPLANATIONS: tuple[Callable[[_Failure], ConfigError | None], ...] = (
    _missing_config,
    _unreadable_override,
    _unreadable_file,
    _circle,
    _no_group,
    _no_key,
    _list_index,
    _several_values,
    _there_or_not,
    _no_choice,
)


def _otherwise(failure: _Failure) -> ConfigError:
    """The first words of the error that knows most."""
    override = re.match(r"Error merging override \+*([^=]+)=", failure.text)
    where = re.search(r"In '(.+?)': \w+ raised while composing config", failure.text)
    place = f"in '{where[1]}': " if where else _in_file(failure)
    for error in failure.chain:
        if isinstance(error, OmegaConfBaseException):
            return ConfigError(place + omegaconf_message(error, override[1] if override else ""))
    said = next((line for error in failure.chain if (line := _first_line(error))), "")
    if not isinstance(failure.chain[0], (HydraException, OSError, ValueError)):
        said = f"{type(failure.chain[0]).__name__}: {said}"
    return ConfigError(said if said.lower().startswith("in ") else place + said)


def _in_file(failure: _Failure) -> str:
    """`in 'GROUP/OPTION': ` when it happened while a file was being read; otherwise nothing."""
    for error in failure.chain:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name == "load_config" and "config_path" in frame.f_locals:
                return f"in '{frame.f_locals['config_path']}': "
    return ""


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _dotted(key: str) -> str:
    return re.sub(r"\[(\w+)\]", r".\1", key)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""
