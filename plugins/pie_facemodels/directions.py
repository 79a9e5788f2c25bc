"""The procedural model's expressions for models whose coefficients have no names: fitted to the landmarks' motion."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pie_facemodels.conventions import neutral_landmarks
from pie_facemodels.procedural import expression
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_framework.api import Layout

if TYPE_CHECKING:
    from jaxtyping import Float

Array = npt.NDArray[np.float64]

#: Expressions that landmarks show; gaze, cheeks and the jaw's depth are not among them.
FITTED = (
    "smile", "jaw_open", "blink", "brow_raise", "brow_lower", "brow_inner_up", "frown", "grin", "pucker", "funnel",
    "mouth_left", "mouth_right", "upper_lip_raise", "lower_lip_down", "stretch", "eyes_wide", "jaw_left", "jaw_right",
    "blink_left", "blink_right", "brow_raise_left", "brow_raise_right", "smirk_left", "smirk_right",
)  # fmt: skip
#: Distance, in the procedural model's units, that landmarks may miss for one standard deviation less of expression.
NOISE = 0.02
#: Share of the landmarks' squared motion that a combination must explain to be offered.
EXPLAINED = 0.5
#: Landmarks of the outer eye corners, the inner ones', and how far apart the outer ones are.
OUTER_EYES = (36, 45)


@functools.cache
def _motions() -> dict[str, Array]:
    """How each of `FITTED` moves the 66 neutral landmarks at activation 1, (66, 3) in world units."""
    fields = expression.named_fields(template())
    own = landmark_vertices()
    moved = {name: np.asarray(field[own]) for name, field in fields.items()}
    for name in ("blink", "brow_raise"):
        moved[name] = moved[f"{name}_left"] + moved[f"{name}_right"]
    return {name: moved[name] for name in FITTED}


def fitted_directions(
    layout: Layout, points: Callable[[Float[Tensor, "B P"]], Float[Tensor, "B K 3"]]
) -> dict[str, tuple[float, ...]]:
    """Combinations of unnamed expression coefficients that move the landmarks as the procedural expressions do.

    Ridge regression at the neutral face, in three dimensions, scaled by the distance of the eyes: coefficients are in
    standard deviations, and none is spent on motion below `NOISE`. The result is scaled so that the fitted motion is as
    large as the wanted one along it. What explains less than `EXPLAINED` of the motion is left out.

    Args:
        layout: of θ.
        points: θ -> landmarks before the head's rotation and translation.

    Returns:
        name -> amount of each expression coefficient at activation 1; empty where the landmarks are not the 66.
    """
    size = layout.block("expression").size
    step = 1e-2
    theta = torch.zeros(2 * size + 1, layout.size)
    theta[1 : size + 1, layout.slice("expression")] = step * torch.eye(size)
    theta[size + 1 :, layout.slice("expression")] = -step * torch.eye(size)
    with torch.no_grad():
        seen = points(theta).double().cpu().numpy()
    rest, goal = seen[0], neutral_landmarks()
    if rest.shape != goal.shape:
        return {}
    left, right = OUTER_EYES
    scale = np.linalg.norm(rest[right] - rest[left]) / np.linalg.norm(goal[right] - goal[left])
    jacobian = (seen[1 : size + 1] - seen[size + 1 :]).reshape(size, -1) / (2 * step) / scale
    system = jacobian @ jacobian.T + NOISE**2 * np.eye(size)
    found = {}
    for name, motion in _motions().items():
        wanted = motion.reshape(-1)
        amounts = np.linalg.solve(system, jacobian @ wanted)
        shown = amounts @ jacobian
        explained = (shown @ wanted) ** 2 / max((shown @ shown) * (wanted @ wanted), 1e-20)
        if explained >= EXPLAINED:
            amounts = amounts * (wanted @ wanted) / (shown @ wanted)
            found[name] = tuple(float(amount) for amount in amounts)
    return found
