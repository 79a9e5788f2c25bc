"""Shapes in signatures, checked while the tests run: what says `Float[Tensor, "B L D"]` takes or gives just that.

The sources import jaxtyping's names for the type checker only, so that a user needs neither it nor beartype. Here the
import of an annotated module is followed by those imports, and by a check around each function that names a shape.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from beartype import beartype
from jaxtyping import config, jaxtyped

PACKAGES = (
    "pie_framework.api",
    "pie_framework.optimisation",
    "pie_framework.testing",
    "pie_energies",
    "pie_facemodels",
    "pie_stylerig",
)
NAMES_A_SHAPE = re.compile(r"\b(Float|Int|UInt8|Bool|Shaped)\[")


class Finder(MetaPathFinder):
    """Finds the annotated modules as always, for `Loader` to load."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not f"{name}.".startswith(tuple(f"{package}." for package in PACKAGES)):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


class Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for node in ast.parse(self.get_data(self.path)).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                exec(compile(ast.Module(node.body, []), self.path, "exec"), vars(module))
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) == module.__name__:
                check_members(value) if inspect.isclass(value) else setattr(module, name, checked(value))


def check_members(kind: type) -> None:
    """The class, its functions checked; those of a protocol have no body, so nothing to check."""
    if getattr(kind, "_is_protocol", False):
        return
    for name, value in list(vars(kind).items()):
        new: Any = value
        if isinstance(value, property):
            new = property(checked(value.fget), value.fset, value.fdel, value.__doc__)
        elif isinstance(value, functools.cached_property):
            new = functools.cached_property(checked(value.func))
            new.__set_name__(kind, name)
        elif isinstance(value, (classmethod, staticmethod)):
            new = type(value)(checked(value.__func__))
        else:
            new = checked(value)
        if new is not value:
            setattr(kind, name, new)


def checked(function: Any) -> Any:
    """The function with its shapes checked; what names none, or is no function, as it is."""
    if isinstance(function, functools._lru_cache_wrapper):
        return functools.lru_cache(**function.cache_parameters())(checked(function.__wrapped__))
    inner = inspect.unwrap(function) if callable(function) else None
    if not inspect.isfunction(inner):
        return function
    hints = {
        name: eval(hint, inner.__globals__)
        for name, hint in inner.__annotations__.items()
        if isinstance(hint, str) and NAMES_A_SHAPE.search(hint)
    }
    if not hints:
        return function
    # What names no shape is not checked: tests give all sorts of stand-ins for it.
    signature = inspect.signature(inner)
    parameters = [
        each.replace(annotation=hints.get(each.name, Any)) for each in signature.parameters.values()
    ]
    function.__signature__ = signature.replace(
        parameters=parameters, return_annotation=hints.get("return", inspect.Signature.empty)
    )
    wrapped: Callable[..., Any] = jaxtyped(function, typechecker=beartype)
    del function.__signature__, wrapped.__signature__
    return wrapped


def install() -> None:
    """From now on; before the first import of an annotated module."""
    early = [name for name in sys.modules if name.startswith(PACKAGES)]
    assert not early, f"imported before their shapes could be checked: {early}"
    sys.meta_path.insert(0, Finder())


def switch(on: bool) -> None:
    """On, or off, for a test that gives wrong shapes to see what is said of them."""
    config.update("jaxtyping_disable", not on)
