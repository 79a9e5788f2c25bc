"""Declares the face models; imports no model code."""

from __future__ import annotations

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl


@hookimpl
def pie_face_models() -> list[Component]:
    return [
        Component(
            Kind.FACE_MODEL,
            "procedural",
            "pie_facemodels.procedural.component:build",
            summary="A morphable head made of formulas: 257 parameters, named expressions, 66 landmarks.",
        )
    ]
