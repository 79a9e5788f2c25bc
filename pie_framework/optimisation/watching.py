"""Whether somebody changed tensors that are not his own: the view, the portraits, the networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from pie_framework.api import LatentView, Networks, TargetView
from pie_framework.api.view import EditedView, Memo


@dataclass(frozen=True)
class _Seen:
    what: str
    tensor: Tensor
    version: int | None
    sums: str | None


class Watch:
    """Remembers tensors before a term is evaluated, so that a change can be named afterwards.

    Every in-place operation raises a tensor's version. The values of a view and of the portraits are summed as well, as
    changes through `.data` raise none; weights of networks are not, as they are large. Reading the sums waits for the
    device: for a first evaluation, not for every step.
    """

    def __init__(self, view: LatentView, target: TargetView) -> None:
        shown = [*_shown("view", view), *_shown("target", target), ("view.latent", view.latent)]
        shown.append(("target.image", target.image))
        self._seen = [_Seen(what, t, _version(t), _sums(t)) for what, t in shown]
        self._seen += [_Seen(what, t, _version(t), None) for what, t in _weights(view.networks)]

    def changed(self) -> str:
        """The first tensor that is not what it was, in words; empty where all are."""
        for seen in self._seen:
            if _version(seen.tensor) != seen.version:
                return seen.what
            if seen.sums is not None and _sums(seen.tensor) != seen.sums:
                return seen.what
        return ""


def _shown(name: str, memo: Memo) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a view holds, with how a term writes them."""
    for key, value in memo.values().items():
        label = (
            f"{name}.{key[0]}('{key[1]}')" if isinstance(key, tuple) and len(key) == 2 else f"{name}.{key}"
        )
        if isinstance(value, Tensor):
            yield label, value
        elif isinstance(value, EditedView):
            yield from _shown(label, value)
        elif isinstance(value, Mapping):
            yield from ((f"{label}['{k}']", v) for k, v in value.items() if isinstance(v, Tensor))


def _weights(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    """Weights and buffers of the networks that are modules."""
    for entry in fields(networks):
        value = getattr(networks, entry.name)
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for role, part in parts:
            if isinstance(part, nn.Module):
                who = f"weights of the component '{entry.name}{'.' + role if role else ''}'"
                yield from ((who, t) for t in [*part.parameters(), *part.buffers()])


def _version(tensor: Tensor) -> int | None:
    """How often it was changed in place; None where that is not counted."""
    return None if tensor.is_inference() else tensor._version


def _sums(tensor: Tensor) -> str:
    """The sum of the values and of their squares as text, in which NaN is what it was."""
    values = tensor.detach()
    if not values.is_floating_point():
        return str(values.sum().item())
    norm = torch.linalg.vector_norm(values)
    return f"{values.sum(dtype=torch.float64).item()!r} {norm.item()!r}"
