"""What stands between pluggy and the functions of one plugin: a failure is told and stops nobody else.

pluggy calls guarded copies. They keep the arguments, the order and the kind (wrapper or not) of the functions they
stand for; one that fails counts as if it were not there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pluggy

from pie_framework import hookspecs
from pie_framework.errors import ComponentError, did_you_mean

#: Result of a call that failed.
FAILED: Any = object()

Options = dict[str, Any]


def new_manager() -> pluggy.PluginManager:
    """A manager that knows every hook and no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.add_hookspecs(hookspecs.OLD_HOOKS)
    return manager


def implementations(
    manager: pluggy.PluginManager, plugin: object
) -> Iterator[tuple[str, Callable[..., Any], Options]]:
    """The functions of a plugin that are marked as hooks: hook, function, options of the marker."""
    for name in dir(plugin):
        try:
            options = manager.parse_hookimpl_opts(plugin, name)
        except Exception:  # pluggy before 1.7 reads properties too
            continue
        if options is not None:
            yield options.get("specname") or name, getattr(plugin, name), dict(options)


class _Hook:
    """One function as pluggy takes it: an attribute of a plugin of its own, so that it is refused on its own."""


class Guard:
    """Calls the functions of one plugin. Subclasses say what goes in, what comes out, and who is told of a failure."""

    def given(self, value: Any) -> Any:
        """What the plugin gets as an argument."""
        return value

    def returned(self, hook: str, value: Any) -> Any:
        """What is kept of a function's result; may raise."""
        return value

    def replaced(self, hook: str, before: list[Any], after: Any) -> list[Any]:
        """What is kept of a wrapper's result, from the results it was given; may raise."""
        return before

    def failed(self, hook: str, error: BaseException) -> None:
        """Told of every failure."""
        raise NotImplementedError

    def attempt(self, hook: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of a call, or FAILED. An interruption passes through."""
        try:
            return call(*args, **kwargs)
        except (Exception, SystemExit) as error:
            self.failed(hook, error)
            return FAILED

    def register(
        self, manager: pluggy.PluginManager, hook: str, function: Callable[..., Any], options: Options
    ) -> None:
        """Have pluggy call a guarded copy of one function.

        Raises:
            ComponentError: there is no such hook, or the function does not fit it.
        """
        caller = getattr(manager.hook, hook, None)
        if caller is None or not caller.has_spec():
            if options.get("optionalhook"):
                return
            known = [name for name in vars(hookspecs) if name.startswith("pie_")]
            raise ComponentError(
                f"it implements the hook '{hook}', which does not exist", did_you_mean(hook, known)
            )
        wraps = bool(options.get("wrapper") or options.get("hookwrapper"))
        around = self._wrapper if wraps and inspect.isgeneratorfunction(function) else self._function
        guarded = around(hook, function)
        setattr(guarded, f"{hookspecs.PROJECT}_impl", options)
        plugin = _Hook()
        setattr(plugin, hook, guarded)
        try:
            manager.register(plugin)
        except pluggy.PluginValidationError as error:
            takes = ", ".join(f"'{name}'" for name in caller.spec.argnames) or "none"
            reason = " ".join(str(error).splitlines()[-1].split())
            raise ComponentError(
                f"its hook '{hook}' does not fit: {reason}", f"Arguments of '{hook}': {takes}."
            ) from error

    def _function(self, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            value = self.attempt(hook, function, *self._given(args), **kwargs)
            if value is not FAILED:
                value = self.attempt(hook, self.returned, hook, value)
            return None if value is FAILED else value

        return guarded

    def _wrapper(self, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Generator[None, Any, Any]:
            inner = self.attempt(hook, function, *self._given(args), **kwargs)
            if inner is FAILED or self.attempt(hook, _begin, inner) is FAILED:
                return (yield)
            try:
                received = yield
            except BaseException:
                inner.close()
                raise
            outcome = received if isinstance(received, pluggy.Result) else None  # of the old kind of wrapper
            if outcome is not None and outcome.exception is not None:
                return inner.close()
            before = [*(received if outcome is None else outcome.get_result())]
            before = [list(part) if isinstance(part, list) else part for part in before]
            after = self.attempt(hook, _end, inner, received)
            if after is not FAILED and outcome is not None:
                after = self.attempt(hook, outcome.get_result)
            if after is not FAILED:
                after = self.attempt(hook, self.replaced, hook, before, after)
            kept = before if after is FAILED else after
            if outcome is not None:
                outcome.force_result(kept)
            return kept

        return guarded

    def _given(self, args: tuple[Any, ...]) -> list[Any]:
        return [self.given(value) for value in args]


def _begin(wrapper: Generator[None, Any, Any]) -> None:
    try:
        next(wrapper)
    except StopIteration:
        raise ComponentError("it is a wrapper and did not yield") from None


def _end(wrapper: Generator[None, Any, Any], received: Any) -> Any:
    try:
        wrapper.send(received)
    except StopIteration as stop:
        return stop.value
    wrapper.close()
    raise ComponentError("it is a wrapper and yields twice")
