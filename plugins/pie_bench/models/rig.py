"""How well the editor does what it is asked: on held-out portraits that were projected, and on prior samples.

Every portrait is asked for each yaw of the settings, for the expression and for the light of another portrait. On
held-out portraits the true edit is rendered, and an error is the difference between what the judge reads in the
edited picture and what it reads in the true edit, so that the judge's own bias does not count.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from pie_bench.measure import angle_error, expression_px, light_error
from pie_bench.models.figures import OVER
from pie_bench.models.world import PRIOR, SOURCES, World
from pie_bench.settings import ANOTHER
from pie_framework.api import FaceModel, KnownPortraits, Networks
from pie_framework.editing.controls import Control, EditRequest, Vocabulary
from pie_framework.editing.edit import edit
from pie_framework.editing.parameters import apply_request

#: Sort of edit -> the block it changes.
SORTS = {"yaw": "rotation", "expression": "expression", "light": "illumination"}
Found = dict[tuple[str, ...], list[Tensor]]


def requests(world: World) -> list[tuple[str, EditRequest]]:
    """The edits of a portrait with their sorts, for the blocks that the editor knows."""
    editor = world.networks.need_editor()
    found = []
    if "rotation" in editor.blocks:
        for yaw in world.settings.yaws:
            found.append(("yaw", EditRequest(f"yaw_{yaw:g}", (Control("rotation.yaw", float(yaw)),))))
    for sort in ("expression", "light"):
        if SORTS[sort] in editor.blocks:
            found.append((sort, EditRequest(sort, source=ANOTHER, source_blocks=(SORTS[sort],))))
    return found


def possible(networks: Networks) -> bool:
    """Whether edits can be made and read."""
    return None not in (networks.editor, networks.encoder, networks.face_model)


@torch.no_grad()
def measure(
    world: World, latent: Tensor, portraits: KnownPortraits, number: int
) -> dict[tuple[str, ...], Tensor]:
    """Errors of the edits of projected portraits.

    Args:
        latent: of the portraits, (B, L, D).
        portraits: B.
        number: of this batch.

    Returns:
        "SORT, COLUMN" -> (B * edits of that sort,), where the columns are "nothing done" (the error of the unedited
        picture), "single pass" and "corrected", by the judge and by the energy's encoder ("own reading"); "identity
        kept, SORT" of the single passes; "own request, BLOCK" -> (B,).
    """
    networks, judge = world.networks, world.judge
    if not possible(networks) or judge is None or not (wanted := requests(world)):
        return {}
    sorts, model = [sort for sort, _ in wanted], networks.need_face_model()
    original = networks.synthesize(latent).clamp(-1, 1)
    before, unedited = networks.encode(original), judge.encode(original)
    another = world.draw(SOURCES, number, len(latent))
    sources = networks.encode(another.images)
    found: Found = defaultdict(list)
    for row in range(len(latent)):
        one = slice(row, row + 1)
        real = _asked(wanted, portraits.theta[one], another.theta[one], model)
        truth = portraits.take([row] * len(wanted)).edited(real)
        judged = judge.encode(truth.images)
        asked = _asked(wanted, before[one], sources[one], model)
        nothing = unedited[one].expand(len(wanted), -1)
        _add_errors(found, "nothing done", nothing, judged, real, sorts, model)
        for column in ("single pass", "corrected"):
            corrections = world.settings.corrections if column == "corrected" else 0
            images, own = _edited(networks, latent[one], before[one], sources[one], wanted, corrections)
            _add_errors(found, column, judge.encode(images), judged, real, sorts, model)
            _add_errors(found, f"{column}, own reading", own, asked, asked, sorts, model)
            if column == "single pass" and world.recognition is not None:
                pictures = original[one], images, portraits.images[one], truth.images
                _add_identity(found, sorts, *(world.embed(some) for some in pictures))
    columns = {name: torch.cat(values) for name, values in found.items()}
    return columns | _own_requests(networks, latent, before, "")


@torch.no_grad()
def measure_prior(world: World, number: int) -> dict[tuple[str, ...], Tensor]:
    """Errors of single-pass edits of the generator's samples against what was asked, in the columns "samples".

    Expression and light are those of the next sample; asked for is what the reader itself reads in that one.
    """
    networks, judge, wanted = world.networks, world.judge, requests(world)
    assert judge is not None
    count, sorts, model = (
        len(world.settings.rows(number)),
        [sort for sort, _ in wanted],
        networks.need_face_model(),
    )
    latent = world.sample(PRIOR, number, count + 1)
    images = networks.synthesize(latent).clamp(-1, 1)
    before, judged = networks.encode(images), judge.encode(images)
    found: Found = defaultdict(list)
    for row in range(count):
        one, following = slice(row, row + 1), slice(row + 1, row + 2)
        made, own = _edited(networks, latent[one], before[one], before[following], wanted, 0)
        readings = (("samples", judge.encode(made), judged), ("samples, own reading", own, before))
        for column, seen, theta in readings:
            goal = _asked(wanted, theta[one], theta[following], model)
            _add_errors(found, column, seen, goal, goal, sorts, model)
    columns = {name: torch.cat(values) for name, values in found.items()}
    return columns | _own_requests(networks, latent[:count], before[:count], ", samples")


def _asked(
    wanted: Sequence[tuple[str, EditRequest]], theta: Tensor, source: Tensor, face_model: FaceModel
) -> Tensor:
    """θ (edits, P) with each edit of one portrait, θ and source (1, P)."""
    return torch.cat(
        [apply_request(Vocabulary(face_model.layout), theta, request, source) for _, request in wanted]
    )


def _edited(
    networks: Networks,
    latent: Tensor,
    before: Tensor,
    source: Tensor,
    wanted: Sequence[tuple[str, EditRequest]],
    corrections: int,
) -> tuple[Tensor, Tensor]:
    """The edited pictures (edits, 3, R, R) of one portrait and what the energy's encoder reads in them, (edits, P).

    latent (1, L, D), before and source (1, P).
    """
    results = edit(
        latent,
        [request for _, request in wanted],
        dataclasses.replace(networks, features={}),
        theta=before,
        source_theta=source,
        corrections=corrections,
    )
    images = torch.cat([result.image for result in results]).clamp(-1, 1)
    return images, torch.cat([result.theta for result in results])


def _rows(sorts: Sequence[str]) -> dict[str, list[int]]:
    """The edits of each sort."""
    return {sort: [i for i, other in enumerate(sorts) if other == sort] for sort in dict.fromkeys(sorts)}


def _add_errors(
    found: Found,
    column: str,
    seen: Tensor,
    goal: Tensor,
    held: Tensor,
    sorts: Sequence[str],
    face_model: FaceModel,
) -> None:
    """Add errors (edits of a sort,) of what was read, (edits, P), under each sort of edit.

    Args:
        found: where to.
        column: of the table.
        seen: read in the edited pictures.
        goal: what should be read.
        held: gives pose, place and identity to the landmarks by which expressions are compared.
        sorts: of the edits.
        face_model: gives the landmarks.
    """
    layout = face_model.layout
    for sort, rows in _rows(sorts).items():
        if sort == "yaw":
            error = angle_error(seen[rows], goal[rows], "yaw", layout)
        elif sort == "expression":
            error = expression_px(seen[rows], goal[rows], held[rows], face_model)
        else:
            error = light_error(*(layout.get(value[rows], "illumination") for value in (seen, goal)))
        found["rig", f"{sort}, {column}"].append(error)


def _add_identity(
    found: Found, sorts: Sequence[str], made: Tensor, edits: Tensor, portrait: Tensor, truths: Tensor
) -> None:
    """Add Ψ's similarities of each edit to its original, and over those of the true edits.

    Args:
        found: where to.
        sorts: of the edits.
        made, edits: embeddings of G(w), (1, E), and of its edits, (edits, E).
        portrait, truths: of the portrait and of its true edits.
    """
    for sort, rows in _rows(sorts).items():
        found["rig", f"identity kept, {sort}"].append((made * edits[rows]).sum(dim=1))
        found["rig", f"identity kept, {sort}", OVER].append((portrait * truths[rows]).sum(dim=1))


def _own_requests(
    networks: Networks, latent: Tensor, before: Tensor, column: str
) -> dict[tuple[str, ...], Tensor]:
    """‖ŵ - w‖ / ‖w - mean‖, (B,), when each block is asked for as it is, over all layers."""
    editor = networks.need_editor()
    away = (latent - networks.generator.mean_latent()).flatten(1).norm(dim=1).clamp_min(1e-12)
    found: dict[tuple[str, ...], Tensor] = {}
    for block in editor.blocks:
        moved = networks.call("editor", editor.edit, latent, before, before, block) - latent
        found["rig", f"own request, {block}{column}"] = moved.flatten(1).norm(dim=1) / away
    return found
