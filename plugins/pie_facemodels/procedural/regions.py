"""Which part of the head the model explains in an image, and how glossy each part is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural import albedo
from pie_facemodels.procedural.fields import Array, bump, smoothstep
from pie_facemodels.procedural.template import Template

_INNER_PARTS = ("eye_left", "eye_right", "lash_left", "lash_right", "teeth_upper", "teeth_lower")


def front_of_face(t: Template) -> npt.NDArray[np.bool_]:
    """(V,) the front of the face from below the hairline to the chin, by the canonical coordinates alone."""
    hairline = 0.70 - 0.45 * np.clip((np.abs(t.x) - 0.30) / 0.5, 0.0, 1.0) ** 2
    beside = t.z > 0.05 + 0.12 * np.clip(-t.y, 0.0, 1.0)
    under_chin = (t.y > -1.315) & ~((t.y < -1.0) & (t.z < 0.30))
    return np.asarray((t.y < hairline) & beside & under_chin)


def face_region(t: Template) -> npt.NDArray[np.bool_]:
    """(V,) the front of the face with eyes and mouth; no ears, hair or neck."""
    return np.asarray(((t.mask("skin") > 0) & front_of_face(t)) | (t.mask(*_INNER_PARTS) > 0))


def face_region_faces(t: Template) -> npt.NDArray[np.int64]:
    """Faces (F', 3) whose three corners all lie in the face region."""
    inside = face_region(t)[t.faces].all(1)
    return t.faces[inside]


def gloss(t: Template) -> Array:
    """(V,) specular strength."""
    strength = 0.055 * t.front * t.mask("skin") + 0.09 * albedo.lip_mask(t)
    strength += 0.05 * bump(t.x, t.y, (0.0, -0.42), (0.07, 0.07)) * t.front * t.mask("skin")
    strength *= 1.0 - smoothstep(albedo.brow_mask(t), 0.1, 0.5)
    strength[t.slices["eye_left"]] = strength[t.slices["eye_right"]] = 0.05
    return np.asarray(strength)
