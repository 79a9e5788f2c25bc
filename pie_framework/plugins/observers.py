"""Observers are told through pluggy, each with a frozen copy of its own; what one does harms neither run nor others."""

from __future__ import annotations

import copy
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar

from pie_framework.api.events import EVENT_HOOKS, Event
from pie_framework.errors import ComponentError, in_one_line
from pie_framework.plugins.guards import FAILED, Guard, Options, implementations, new_manager
from pie_framework.plugins.records import Provenance

#: Seconds of one call after which an observer is named as slow.
SLOW = 0.5

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Observers:
    """Tells observers what happens.

    One that fails or exits is named once and left out from then on; one whose call takes more than half a second is
    named once. KeyboardInterrupt passes through.

    Args:
        hooks: of plugins: plugin, name of the hook, function, options of its marker.
        others: objects with methods that are named like the hooks.
    """

    def __init__(
        self,
        hooks: Iterable[tuple[Provenance, str, Callable[..., Any], Options]] = (),
        others: Iterable[object] = (),
    ) -> None:
        self._manager = new_manager()
        watched: dict[object, _Watched] = {}
        listening: list[tuple[_Watched, str, Callable[..., Any], Options]] = []
        for provenance, hook, function, options in hooks:
            guard = watched.setdefault(provenance, _Watched(f"'{provenance.plugin}' of {provenance}"))
            listening.append((guard, hook, function, options))
        for other in others:
            guard = _Watched(type(other).__name__)
            listening += [(guard, *method) for method in self._methods(other)]
        for guard, hook, function, options in reversed(listening):  # pluggy calls the last one first
            try:
                guard.register(self._manager, hook, function, options)
            except ComponentError as error:
                guard.failed(hook, error)

    def _methods(self, other: object) -> list[tuple[str, Callable[..., Any], Options]]:
        marked = list(implementations(self._manager, other))
        plain = [hook for hook in EVENT_HOOKS.values() if hook not in {name for name, _, _ in marked}]
        methods = [(hook, getattr(other, hook, None)) for hook in plain]
        return marked + [(hook, method, {}) for hook, method in methods if callable(method)]

    def tell(self, event: Event) -> None:
        """Tell everyone who listens to events of this kind."""
        getattr(self._manager.hook, EVENT_HOOKS[type(event)])(event=event)


class _Watched(Guard):
    """All hooks of one observer."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._out = self._slow = False

    def given(self, value: Any) -> Any:
        return frozen(value)

    def returned(self, hook: str, value: Any) -> None:
        """What an observer returns is ignored."""

    def attempt(self, hook: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._out:
            return FAILED
        started = time.perf_counter()
        result = super().attempt(hook, call, *args, **kwargs)
        seconds = time.perf_counter() - started
        if seconds > SLOW and not self._slow:
            self._slow = True
            _log.warning("the observer %s took %.1f s in %s, and the run waited", self.label, seconds, hook)
        return result

    def failed(self, hook: str, error: BaseException) -> None:
        self._out = True
        _log.warning("the observer %s failed in %s and is left out: %s", self.label, hook, in_one_line(error))


class FrozenDict(dict[Any, Any]):
    """A dictionary that cannot be written to; it reads, prints, copies and turns into JSON as any other."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("an event cannot be changed; dict(...) makes a copy that can")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def frozen(value: T) -> T:
    """A deep copy that cannot be written to: mappings as `FrozenDict`, lists as tuples."""
    made: Any = value
    if value is None or isinstance(value, (str, bytes, int, float, PurePath)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: frozen(getattr(value, f.name)) for f in dataclasses.fields(value)}
        made = dataclasses.replace(value, **fields)
    elif isinstance(value, Mapping):
        made = FrozenDict({key: frozen(item) for key, item in value.items()})
    elif isinstance(value, (list, tuple)):
        made = tuple(frozen(item) for item in value)
    else:
        made = copy.deepcopy(value)
    return made  # type: ignore[no-any-return]
