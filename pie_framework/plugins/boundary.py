"""The boundary around a component's module and factory: what goes wrong there names the component. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pie_framework import api
from pie_framework.api import BuildContext, Component
from pie_framework.errors import PieError, PluginError, in_one_line
from pie_framework.plugins.registry import Registry

FAULT = "This is a fault of the plugin; --debug shows where."
T = TypeVar("T")


def load(registry: Registry, component: Component) -> Callable[..., Any]:
    """The factory of a component; PluginError where its module cannot be imported or has no such name."""
    try:
        return component.load()
    except PluginError as error:
        reason = in_one_line(error.__cause__ or error)
        raise PluginError(
            f"{registry.described(component)} cannot be loaded from '{component.target}': {reason}"
        ) from error


def call(
    registry: Registry,
    component: Component,
    what: str,
    function: Callable[..., T],
    *arguments: Any,
    through: tuple[type[Exception], ...] = (),
) -> T:
    """What a function of a component gives.

    Args:
        registry: knows where the component comes from.
        component: whose function it is.
        what: what a failure means, such as "cannot be built".
        function: called with the arguments.
        through: errors that are raised as they are, beside those for people.

    Raises:
        PluginError: it raised anything else; names the component.
    """
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        if isinstance(error, (PieError, *through)):
            raise
        raise PluginError(f"{registry.described(component)} {what}: {in_one_line(error)}", FAULT) from error


def make(registry: Registry, component: Component, settings: Any, context: BuildContext) -> Any:
    """What the factory of a component makes.

    Raises:
        PluginError: it cannot be loaded, it failed, or what it made is not of the component's kind.
    """
    return call(registry, component, "cannot be built", _made, registry, component, settings, context)


def _made(registry: Registry, component: Component, settings: Any, context: BuildContext) -> Any:
    built = load(registry, component)(settings, context)
    protocol = getattr(api, component.kind.protocol, None)
    if not isinstance(protocol, type):
        return built
    lacking = _lacking(built, protocol)
    if lacking or not isinstance(built, protocol):
        raise PluginError(
            f"{registry.described(component)} is no {component.kind.protocol}: "
            f"{type(built).__name__} has no {', '.join(lacking)}",
            "This is a fault of the plugin.",
        )
    return built


def _lacking(built: object, protocol: type) -> list[str]:
    """Which members of a protocol an object does not have. Asks properties, as `isinstance` does before Python 3.12."""
    members = [n for kind in protocol.__mro__ for n in (*vars(kind), *vars(kind).get("__annotations__", {}))]
    return sorted({n for n in members if not n.startswith("_") and not hasattr(built, n)})
