"""Settings of the aligners. Imports no torch and no opencv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval


@dataclass(frozen=True)
class AlignerSettings:
    """How the face of a photo is found and framed.

    Attributes:
        points: what finds the eyes and the mouth: `landmarks`, the chosen landmarks, where they can look at a photo;
            `cascades`, opencv's; `auto`, the landmarks where they can and see a face, else the cascades.
        face: which face, by size: 0 is the largest, 1 the next.
        framing: where the face lies in the portrait: `embedded` as in the bundled models' portraits, `ffhq` as in FFHQ.
        eye_line: height of the eyes from the top as a fraction of the side, 0 to 1; None takes the framing's.
        eye_distance: distance of the eyes as a fraction of the side, 0.01 to 1; None takes the framing's.
        scale: the square's side is multiplied by this, above 0: above 1 shows more around the face.
        shift_x: moves the square to its own right, as a fraction of its side.
        shift_y: moves the square to its own bottom, as a fraction of its side.
        padding: what lies beyond the photo's border: `blur` (mirrored and blurred), `ffhq` (so too, and as published
            the photo's own pixels blur towards the border), `reflect` or `edge`.
        fallback: when no upright frontal face is found, also look for tilted, dark and half-turned ones.
    """

    points: Literal["auto", "landmarks", "cascades"] = "auto"
    face: Annotated[int, Ge(0)] = 0
    framing: Literal["embedded", "ffhq"] = "embedded"
    eye_line: Annotated[float, Interval(ge=0, le=1)] | None = None
    eye_distance: Annotated[float, Interval(ge=0.01, le=1)] | None = None
    scale: Annotated[float, Gt(0)] = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    padding: Literal["blur", "ffhq", "reflect", "edge"] = "blur"
    fallback: bool = True
