"""Who may use a name: what ships keeps its own, and what two others claim is told apart by their distributions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pie_framework.errors import ComponentError
from pie_framework.plugins.records import PluginProblem, Provenance, canonical

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Claim(Generic[T]):
    """A declaration with its origin."""

    item: T
    provenance: Provenance


@dataclass
class Names(Generic[T]):
    """Declarations by group (the kind of a component) and name.

    Every one is reachable as `distribution:name`; by the plain name only where nobody else has it, or where it ships.
    A reserved name is nobody's.
    """

    _claims: dict[tuple[str, str], list[Claim[T]]] = field(default_factory=dict)
    _reserved: set[tuple[str, str]] = field(default_factory=set)

    def reserve(self, group: str, names: Iterable[str]) -> None:
        """Keep plain names from being anyone's."""
        self._reserved |= {(group, name) for name in names}

    def add(self, group: str, name: str, item: T, provenance: Provenance) -> PluginProblem | None:
        """Take in one declaration, those that ship first; returns what is wrong with it."""
        claims = self._claims.setdefault((group, name), [])
        for claim in claims:
            if canonical(claim.provenance.distribution) == canonical(provenance.distribution):
                message = f"{_twice(group, name, [claim.provenance, provenance])}. The first one counts"
                return PluginProblem(provenance, message)
        claims.append(Claim(item, provenance))
        own = f"'{_qualified(name, provenance)}'"
        if (group, name) in self._reserved:
            what = f"the {group} '{name}' is one of pie's own"
            return PluginProblem(provenance, f"{what}. Give yours another name, or ask for it as {own}")
        if len(claims) == 1:
            return None
        message = _twice(group, name, [claim.provenance for claim in claims])
        if claims[0].provenance.shipped:
            message += f". The one that ships is used. Give yours another name, or ask for it as {own}"
            return PluginProblem(provenance, message)
        message += f". Neither is used by this name; ask for yours as {own}"
        return PluginProblem(provenance, message, fatal=True)

    def find(self, group: str, name: str) -> Claim[T] | None:
        """The declaration of that name, plain or `distribution:name`.

        Raises:
            ComponentError: several claim the name; it names them.
        """
        distribution, colon, plain = name.rpartition(":")
        claims = self._claims.get((group, plain), [])
        if colon:
            origin = canonical(distribution)
            return next((c for c in claims if canonical(c.provenance.distribution) == origin), None)
        if not claims or (group, plain) in self._reserved:
            return None
        if len(claims) == 1 or claims[0].provenance.shipped:
            return claims[0]
        choices = " or ".join(f"'{_qualified(plain, claim.provenance)}'" for claim in claims)
        raise ComponentError(
            _twice(group, plain, [claim.provenance for claim in claims]), f"Say which one: {choices}."
        )

    def __iter__(self) -> Iterator[tuple[str, Claim[T]]]:
        """Every declaration under the shortest name that means it."""
        for (group, name), claims in self._claims.items():
            reserved = (group, name) in self._reserved
            for number, claim in enumerate(claims):
                plain = not reserved and (len(claims) == 1 or (number == 0 and claim.provenance.shipped))
                yield name if plain else _qualified(name, claim.provenance), claim


def _qualified(name: str, provenance: Provenance) -> str:
    return f"{provenance.distribution}:{name}"


def _twice(group: str, name: str, origins: list[Provenance]) -> str:
    return f"the {group} '{name}' is declared twice: " + " and ".join(
        f"by {origin.label}" for origin in origins
    )
