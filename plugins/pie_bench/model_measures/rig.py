"""How well the editor does what it is asked: on held-out portraits that were projected, and on prior samples.

Every portrait is asked for each yaw of the settings, for the expression and for the light of another portrait. On
held-out portraits the true edit is rendered, and an error is the difference between what the judge reads in the
edited picture and what it reads in the true edit, so that the judge's own bias does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_bench.measure import light_error
from pie_bench.model_measures.encoder import expression_px
from pie_bench.model_measures.figures import Figure, mean
from pie_bench.model_measures.world import PRIOR, SOURCES, World
from pie_framework.api import FaceModel, KnownPortraits, Networks, RecognitionNetwork
from pie_framework.editing.controls import Control, EditRequest, Vocabulary
from pie_framework.editing.edit import edit
from pie_framework.editing.parameters import apply_request

#: Sort of edit -> the block it changes.
SORTS = {"yaw": "rotation", "expression": "expression", "light": "illumination"}
UNITS = {"yaw": "deg", "expression": "px", "light": "%"}
ANOTHER = "another"
#: The table of details and its columns: (mode, reader) -> title.
TABLE = "rig: asked against achieved"
COLUMNS = {
    ("unedited", "judge"): "nothing done",
    ("single", "judge"): "single pass",
    ("corrected", "judge"): "corrected",
    ("single", "own"): "single pass, own reading",
    ("corrected", "own"): "corrected, own reading",
    ("prior", "judge"): "samples",
    ("prior", "own"): "samples, own reading",
}


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
def measure(world: World, latent: Tensor, portraits: KnownPortraits, number: int) -> dict[str, Tensor]:
    """Errors of the edits of projected portraits.

    Args:
        latent: of the portraits, (B, L, D).
        portraits: B.
        number: of this batch.

    Returns:
        MODE.SORT.READER (B * edits of that sort,) for the modes "single", "corrected" and "unedited" (the error if
        nothing is done) and the readers "judge" and "own"; identity.SORT.made and identity.SORT.true; own.BLOCK (B,).
    """
    networks = world.networks
    if not possible(networks) or world.judge is None or not requests(world):
        return {}
    encoder, words = networks.need_encoder(), Vocabulary(networks.need_face_model().layout)
    original = networks.generator.synthesize(latent).clamp(-1, 1)
    before, unedited = encoder.encode(original), world.judge.encode(original)
    another = world.draw(SOURCES, number, len(latent))
    sources = encoder.encode(another.images)
    wanted = requests(world)
    sorts = [sort for sort, _ in wanted]
    found: dict[str, list[Tensor]] = {}
    for row in range(len(latent)):
        one = slice(row, row + 1)
        given, source = before[one], sources[one]
        real = torch.cat(
            [apply_request(words, portraits.theta[one], r, another.theta[one]) for _, r in wanted]
        )
        truth = portraits.take([row] * len(wanted)).edited(real)
        judged = world.judge.encode(truth.images)
        asked = torch.cat([apply_request(words, given, r, source) for _, r in wanted])
        for mode in ("unedited", "single", "corrected"):
            if mode == "unedited":
                images = original[one].expand(len(wanted), -1, -1, -1)
                by_judge, by_own = (theta[one].expand(len(wanted), -1) for theta in (unedited, before))
            else:
                images, by_own = _edited(world, latent[one], given, source, wanted, mode == "corrected")
                by_judge = world.judge.encode(images)
            for reader, seen, goal, held in (
                ("judge", by_judge, judged, real),
                ("own", by_own, asked, asked),
            ):
                for sort, values in _errors(seen, goal, held, sorts, networks.need_face_model()).items():
                    found.setdefault(f"{mode}.{sort}.{reader}", []).append(values)
            if mode == "single":
                pictures = (original[one], images, portraits.images[one], truth.images)
                for sort, values in _similarities(networks, pictures, sorts).items():
                    found.setdefault(f"identity.{sort}", []).append(values)
    columns = {name: torch.cat(values) for name, values in found.items()}
    return columns | _own_requests(networks, latent, before, "own")


@torch.no_grad()
def measure_prior(world: World, number: int) -> dict[str, Tensor]:
    """Errors of single-pass edits of the generator's samples, prior.SORT.READER, against what was asked.

    Expression and light are those of the next sample; asked for is what the reader itself reads in that one.
    """
    networks = world.networks
    count = len(world.settings.rows(number))
    latent = world.sample(PRIOR, number, count + 1)
    encoder, words = networks.need_encoder(), Vocabulary(networks.need_face_model().layout)
    assert world.judge is not None
    images = networks.generator.synthesize(latent).clamp(-1, 1)
    before, judged = encoder.encode(images), world.judge.encode(images)
    wanted = requests(world)
    sorts = [sort for sort, _ in wanted]
    found: dict[str, list[Tensor]] = {}
    for row in range(count):
        one, following = slice(row, row + 1), slice(row + 1, row + 2)
        made, by_own = _edited(world, latent[one], before[one], before[following], wanted, False)
        by_judge = world.judge.encode(made)
        for reader, seen, theta in (("judge", by_judge, judged), ("own", by_own, before)):
            goal = torch.cat([apply_request(words, theta[one], r, theta[following]) for _, r in wanted])
            errors = _errors(seen, goal, goal, sorts, networks.need_face_model())
            for sort, values in errors.items():
                found.setdefault(f"prior.{sort}.{reader}", []).append(values)
    columns = {name: torch.cat(values) for name, values in found.items()}
    return columns | _own_requests(networks, latent[:count], before[:count], "prior_own")


def _edited(
    world: World,
    latent: Tensor,
    before: Tensor,
    source: Tensor,
    wanted: Sequence[tuple[str, EditRequest]],
    corrected: bool,
) -> tuple[Tensor, Tensor]:
    """The edited pictures (edits, 3, R, R) of one portrait and what the energy's encoder reads in them, (edits, P).

    latent (1, L, D), before and source (1, P).
    """
    networks = Networks(
        generator=world.networks.generator,
        encoder=world.networks.encoder,
        face_model=world.networks.face_model,
        editor=world.networks.editor,
    )
    results = edit(
        latent,
        [request for _, request in wanted],
        networks,
        theta=before,
        source_theta=source,
        corrections=world.settings.corrections if corrected else 0,
    )
    images = torch.cat([result.image for result in results]).clamp(-1, 1)
    return images, torch.cat([result.theta for result in results])


def _errors(
    seen: Tensor, goal: Tensor, held: Tensor, sorts: Sequence[str], face_model: FaceModel
) -> dict[str, Tensor]:
    """Errors (edits of that sort,) of what was read, (edits, P), by sort of edit.

    Args:
        seen: read in the edited pictures.
        goal: what should be read.
        held: gives pose, place and identity to the landmarks by which expressions are compared.
    """
    layout, found = face_model.layout, {}
    for sort in dict.fromkeys(sorts):
        rows = [index for index, value in enumerate(sorts) if value == sort]
        if sort == "yaw":
            column = layout.index("rotation", "yaw")
            found[sort] = (seen - goal)[rows, column].abs().rad2deg()
        elif sort == "expression":
            found[sort] = expression_px(seen[rows], goal[rows], held[rows], face_model)
        else:
            found[sort] = light_error(*(layout.get(value[rows], "illumination") for value in (seen, goal)))
    return found


def _similarities(
    networks: Networks, pictures: tuple[Tensor, Tensor, Tensor, Tensor], sorts: Sequence[str]
) -> dict[str, Tensor]:
    """Ψ's similarities of an edit to its original, "SORT.made" and "SORT.true".

    Args:
        pictures: G(w) (1, 3, R, R) and its edits (edits, 3, R, R), the portrait and its true edits.
    """
    network = networks.features.get("recognition")
    if not isinstance(network, RecognitionNetwork):
        return {}
    made, edits, portrait, truths = (network.embed(picture) for picture in pictures)
    found = {}
    for sort in dict.fromkeys(sorts):
        rows = [index for index, value in enumerate(sorts) if value == sort]
        found[f"{sort}.made"] = (made * edits[rows]).sum(dim=1)
        found[f"{sort}.true"] = (portrait * truths[rows]).sum(dim=1)
    return found


def _own_requests(networks: Networks, latent: Tensor, before: Tensor, name: str) -> dict[str, Tensor]:
    """‖ŵ - w‖ / ‖w - mean‖, (B,), when each block is asked for as it is, over all layers."""
    editor = networks.need_editor()
    away = (latent - networks.generator.mean_latent()).flatten(1).norm(dim=1).clamp_min(1e-12)
    return {
        f"{name}.{block}": (editor.edit(latent, before, before, block) - latent).flatten(1).norm(dim=1) / away
        for block in editor.blocks
    }


def figures(columns: Mapping[str, NDArray[np.float64]]) -> list[Figure]:
    """Means over portraits and edits; identity kept is the ratio of two means."""
    found = []
    for sort, unit in UNITS.items():
        for key, column in COLUMNS.items():
            mode, reader = key
            name = f"{mode}.{sort}.{reader}"
            if name in columns:
                found.append(mean("rig", f"{sort}, {column}", columns[name], unit, (TABLE, sort, column)))
    for sort in SORTS:
        if f"identity.{sort}.made" in columns:
            made, true = columns[f"identity.{sort}.made"], columns[f"identity.{sort}.true"]
            share = float(made.mean() / max(float(true.mean()), 1e-12))
            found.append(Figure("rig", f"identity kept, {sort}", share, "", int(made.size)))
    for block in SORTS.values():
        row = f"own request, {block}"
        if f"own.{block}" in columns:
            found.append(mean("rig", row, columns[f"own.{block}"], "", (TABLE, row, "single pass")))
            place = (TABLE, row, COLUMNS["prior", "judge"])
            found.append(mean("rig", f"{row}, {place[2]}", columns[f"prior_own.{block}"], "", place))
    return found
