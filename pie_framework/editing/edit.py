"""From a request to an edited image and its self-check (§3): passes through the rig networks, no optimisation.

ŵ = RigNet(w, θ'^τ), where θ' is what the portrait shows with the controls asked for. Edits of several blocks
stack: each rig network is applied to the last one's output, in the order of `EDITABLE_BLOCKS`. The edited
image is encoded again, so that every edit reports what was asked for, what was achieved, and how far the
identity was kept.

A rig network rarely goes all of the way. What was read back says how far it got, so the request is corrected along
its own direction and made again: θ'^τ = θ_w^τ + k (asked - θ_w^τ), where k is found by the secant rule so that the
change that is read back, along that direction, equals the change that was asked for. Of the passes the one that comes
nearest is kept, among those that cost little of the identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pie_framework.api import (
    EDITABLE_BLOCKS,
    HasExpressionAliases,
    HasExpressionDirections,
    HasRanges,
    Layout,
    Networks,
    RecognitionNetwork,
    RigEditor,
)
from pie_framework.editing.controls import Combination, EditRequest, Vocabulary
from pie_framework.editing.parameters import Reading, Value, apply_request, read_request
from pie_framework.errors import ConfigError, PluginError

#: Identity similarity below which a warning is given; two strangers score near 0, one person near 1.
LOW_IDENTITY = 0.5
#: Corrections after the first pass, unless told otherwise.
CORRECTIONS = 2
#: A request is never corrected to more than this multiple of the change that was asked for.
REACH = 2.5
#: Identity similarity that a correction may cost beside the first pass; one that costs more is not made.
IDENTITY_COST = 0.08


@dataclass(frozen=True)
class EditResult:
    """One edited picture with its self-check.

    Attributes:
        request: what was asked for.
        latent: ŵ, (1, L, D).
        image: G(ŵ), (1, 3, R, R) in [-1, 1].
        theta: coefficients read back from the image, (1, P).
        readings: every control with the values before, asked for and achieved.
        identity_similarity: dot product of the recognition embeddings of the unedited reconstruction and of
            the edited image; None when no recognition network is composed.
        warnings: what a person should know, such as a value outside the trained range.
    """

    request: EditRequest
    latent: Tensor
    image: Tensor
    theta: Tensor
    readings: tuple[Reading, ...]
    identity_similarity: float | None
    warnings: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def asked(self) -> dict[str, Value]:
        """Control -> value asked for, in the control's unit."""
        return {reading.control: reading.asked for reading in self.readings}

    @property
    def achieved(self) -> dict[str, Value]:
        """Control -> value read back from the edited image."""
        return {reading.control: reading.achieved for reading in self.readings}

    def to_json(self) -> dict[str, Any]:
        """The self-check as JSON's own types; pictures and latents are not part of it."""
        return {
            "name": self.name,
            "controls": [
                {"control": c.name, "value": c.value, "relative": c.relative} for c in self.request.controls
            ],
            "source": self.request.source,
            "source_blocks": list(self.request.source_blocks),
            "readings": [asdict(reading) for reading in self.readings],
            "identity_similarity": self.identity_similarity,
            "warnings": list(self.warnings),
        }


def vocabulary_of(networks: Networks) -> Vocabulary:
    """The controls these networks offer: names and ranges of the face model, blocks that the editor knows.

    A face model that is also `HasRanges` says on which values the networks were trained; one that is
    `HasExpressionAliases` or `HasExpressionDirections` names further expressions. An alias sets its coefficients; of a
    direction the share along it is set, and the rest of the expression is kept.

    Raises:
        ConfigError: when no editor is composed.
    """
    layout = networks.need_encoder().layout
    if networks.editor is None:
        raise ConfigError(
            "this run cannot be edited: no editor is composed", "Select one, such as editor=rig."
        )
    blocks = tuple(block for block in layout.editable if block in networks.editor.blocks)
    model = networks.face_model
    ranges: Mapping[str, tuple[float, float]] = model.ranges if isinstance(model, HasRanges) else {}
    return Vocabulary(layout, ranges, blocks, combinations_of(layout, model))


def combinations_of(layout: Layout, face_model: object) -> dict[str, Combination]:
    """The combined expressions that a face model names, as controls of a layout; those that do not fit are left out."""
    if "expression" not in layout.block_names:
        return {}
    names = layout.names("expression")
    combinations = {}
    directions = face_model.expression_directions if isinstance(face_model, HasExpressionDirections) else {}
    for control, amounts in directions.items():
        if len(amounts) == len(names):
            combinations[f"expression.{control}"] = Combination(
                tuple(range(len(names))), tuple(map(float, amounts)), along=True
            )
    aliases = face_model.expression_aliases if isinstance(face_model, HasExpressionAliases) else {}
    for control, parts in aliases.items():
        if all(name in names for name in parts):
            combinations[f"expression.{control}"] = Combination(
                tuple(names.index(name) for name in parts), tuple(map(float, parts.values()))
            )
    return combinations


def embed(networks: Networks, images: Tensor) -> Tensor | None:
    """Identity embeddings of pictures (N, 3, R, R), (N, E); None where there is no recognition network."""
    network = networks.features.get("recognition")
    if not isinstance(network, RecognitionNetwork):
        return None
    return networks.call("features.recognition", network.embed, images)


@torch.no_grad()
def edit(
    latent: Tensor,
    requests: Sequence[EditRequest],
    networks: Networks,
    theta: Tensor | None = None,
    source_theta: Tensor | None = None,
    corrections: int = CORRECTIONS,
    chunk: int = 8,
) -> list[EditResult]:
    """Edit a portrait, or several.

    Args:
        latent: w as W+, (1, L, D) used for every request, or (N, L, D) with one portrait per request.
        requests: N requests, from `Vocabulary.parse`.
        networks: with encoder and editor; the recognition network is optional.
        theta: θ_w, (1 or N, P); read from G(w) when None.
        source_theta: θ of the portrait that the requests name as source, (1, P).
        corrections: how often the request is corrected by what was read back; 0 is the single pass of §3.
        chunk: how many pictures are made at once; bounds the memory.

    Returns:
        One result per request, in order.

    Raises:
        ConfigError: when a request touches a block that the editor does not know, or the shapes do not fit.
    """
    if not requests:
        return []
    vocabulary, layout = vocabulary_of(networks), networks.need_encoder().layout
    _check(latent, requests, networks.need_editor().blocks)
    networks = _with_named_rigs(networks)
    unedited = networks.synthesize(latent)
    shown = networks.encode(unedited) if theta is None else layout.check(theta)
    known = embed(networks, unedited)
    count = len(requests)
    latent, before = latent.expand(count, -1, -1), shown.expand(count, -1)
    known = None if known is None else known.expand(count, -1)
    pairs = zip(before, requests, strict=True)
    asked = torch.cat([apply_request(vocabulary, one[None], r, source_theta) for one, r in pairs])
    results: list[EditResult] = []
    for start in range(0, count, chunk):
        rows = slice(start, start + chunk)
        originals = None if known is None else known[rows]
        edited, images, achieved = _corrected(
            latent[rows], before[rows], asked[rows], requests[rows], networks, corrections, originals
        )
        similarities = _similarities(networks, originals, images)
        for i, request in enumerate(requests[rows]):
            one, row = slice(i, i + 1), slice(start + i, start + i + 1)
            readings = read_request(vocabulary, request, before[row], asked[row], achieved[one])
            similarity = None if similarities is None else float(similarities[i])
            warnings = _warnings(vocabulary, readings, similarity)
            results.append(
                EditResult(request, edited[one], images[one], achieved[one], readings, similarity, warnings)
            )
    return results


def _check(latent: Tensor, requests: Sequence[EditRequest], blocks: Sequence[str]) -> None:
    """ConfigError where the requests do not fit the latents or the blocks of the editor."""
    if latent.dim() != 3 or latent.shape[0] not in (1, len(requests)):
        raise ConfigError(
            f"{len(requests)} edits need one latent or as many, not shape {tuple(latent.shape)}"
        )
    for request in requests:
        for block in request.blocks:
            if block not in blocks:
                raise ConfigError(
                    f"the edit '{request.name}' needs an editor for the block '{block}'",
                    f"This run's edits: {', '.join(blocks)}.",
                )


def _corrected(
    latent: Tensor,
    before: Tensor,
    asked: Tensor,
    requests: Sequence[EditRequest],
    networks: Networks,
    corrections: int,
    originals: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """ŵ (N, L, D), G(ŵ) and its coefficients, after the corrections; `before` and `asked` are (N, P).

    A correction counts, portrait by portrait, only if it comes nearer to what was asked for and keeps the identity:
    an edit that the picture cannot show would otherwise be driven until the portrait breaks.

    Args:
        originals: identity embeddings of the unedited pictures, (N, E); None where there is no recognition network.
    """
    layout = networks.need_encoder().layout
    strengths = dict.fromkeys(
        {block for request in requests for block in request.blocks}, latent.new_ones(len(latent))
    )
    last = {block: (torch.zeros_like(k), torch.zeros_like(k)) for block, k in strengths.items()}
    wanted = asked
    best: tuple[Tensor, Tensor, Tensor] | None = None
    nearest = least = latent.new_zeros(len(latent))
    for left in range(corrections, -1, -1):
        edited = _moved(latent, before, wanted, requests, networks)
        images = networks.synthesize(edited)
        achieved = networks.encode(images)
        if best is None and not left:
            return edited, images, achieved
        shares = {
            block: change_share(*(layout.get(theta, block) for theta in (before, asked, achieved)))
            for block in strengths
        }
        missing = torch.stack([(1 - share).abs() for share in shares.values()]).amax(dim=0)
        similarities = _similarities(networks, originals, images)
        kept = torch.ones_like(missing) if similarities is None else similarities
        if best is None:
            best, nearest, least = (edited, images, achieved), missing, kept - IDENTITY_COST
        else:
            better = (missing < nearest) & (kept >= least)
            nearest = torch.where(better, missing, nearest)
            best = (
                torch.where(better[:, None, None], edited, best[0]),
                torch.where(better[:, None, None, None], images, best[1]),
                torch.where(better[:, None], achieved, best[2]),
            )
        parts = layout.split(wanted)
        for block, strength in strengths.items():
            start, goal = layout.get(before, block), layout.get(asked, block)
            strengths[block] = next_strength(*last[block], strength, shares[block])
            last[block] = strength, shares[block]
            parts[block] = start + strengths[block][:, None] * (goal - start)
        wanted = layout.join(parts)
    assert best is not None
    return best


def change_share(before: Tensor, asked: Tensor, achieved: Tensor) -> Tensor:
    """How much of the change asked for was achieved, along its direction: (N, n) each -> (N,), 1 is all of it.

    Where nothing was asked for, all of it was achieved.
    """
    way = asked - before
    length = way.square().sum(dim=1)
    share = ((achieved - before) * way).sum(dim=1) / length.clamp_min(1e-12)
    return torch.where(length > 1e-12, share, torch.ones_like(share))


def next_strength(last: Tensor, last_share: Tensor, strength: Tensor, share: Tensor) -> Tensor:
    """The secant rule for share(k) = 1, from two strengths k and their shares; all (N,).

    A response that is flat or falling counts as one that needs `REACH`; the result lies in [0, REACH].
    """
    step = strength - last
    slope = ((share - last_share) / torch.where(step.abs() > 1e-6, step, torch.ones_like(step))).clamp_min(
        1 / REACH
    )
    return torch.where(step.abs() > 1e-6, strength + (1 - share) / slope, strength).clamp(0.0, REACH)


def _moved(
    latent: Tensor, before: Tensor, asked: Tensor, requests: Sequence[EditRequest], networks: Networks
) -> Tensor:
    """ŵ, (N, L, D): block by block, the rows whose request touches it."""
    editor = networks.need_editor()
    for block in EDITABLE_BLOCKS:
        rows = [index for index, request in enumerate(requests) if block in request.blocks]
        if not rows:
            continue
        given = latent[rows]
        moved = networks.call("editor", editor.edit, given, before[rows], asked[rows], block)
        if not isinstance(moved, Tensor) or moved.shape != given.shape:
            what = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            raise PluginError(f"{networks.origin('editor')} gave {what} for latents {tuple(given.shape)}")
        latent = latent.clone()
        latent[rows] = moved
    return latent


@dataclass
class _NamedRig:
    """A rig behind the boundary of the networks, so that its faults are not taken for the editor's."""

    networks: Networks
    layout: Layout
    block: str

    def rig(self, latent: Tensor, parameters: Tensor) -> Tensor:
        return self.networks.move(self.block, latent, parameters)


def _with_named_rigs(networks: Networks) -> Networks:
    """The networks with an editor whose rigs answer for themselves, where it edits by rigs."""
    if not isinstance(networks.editor, RigEditor):
        return networks
    editor, own = copy(networks.editor), replace(networks, rigs=networks.editor.rigs)
    editor.rigs = {block: _NamedRig(own, rig.layout, block) for block, rig in editor.rigs.items()}
    return replace(networks, editor=editor)


def _similarities(networks: Networks, originals: Tensor | None, images: Tensor) -> Tensor | None:
    """How alike pictures are to those that were embedded, (N,); None where there is no recognition network."""
    shown = None if originals is None else embed(networks, images)
    return None if originals is None or shown is None else (originals * shown).sum(dim=1)


def _warnings(
    vocabulary: Vocabulary, readings: Sequence[Reading], similarity: float | None
) -> tuple[str, ...]:
    warnings = []
    for reading in readings:
        asked = reading.asked
        bounds = None if isinstance(asked, tuple) else vocabulary.outside(reading.control, asked)
        if bounds is not None:
            warnings.append(
                f"{reading.control} = {asked:.3g} is outside the trained range "
                f"{bounds[0]:.3g} to {bounds[1]:.3g}"
            )
        if reading.fell_short:
            warnings.append(f"{reading.control}: less than half of the change asked for was achieved")
    if similarity is not None and similarity < LOW_IDENTITY:
        warnings.append(f"the identity was lost: similarity {similarity:.2f}")
    return tuple(warnings)
