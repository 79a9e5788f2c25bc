"""Declares the face models; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_facemodels.bfm_settings import BfmSettings
from pie_facemodels.settings import FlameSettings, IctSettings
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.FACE_MODEL,
            "bfm",
            "pie_facemodels.bfm:build",
            config=BfmSettings,
            summary="The Basel Face Model of Deep3DFaceRecon's BFM_model_front.mat, with its units and camera.",
        ),
        component(
            Kind.FACE_MODEL,
            "flame",
            "pie_facemodels.flame:build",
            config=FlameSettings,
            summary="FLAME: shape, expression, neck, jaw and eyes by linear blend skinning; registration required.",
        ),
        component(
            Kind.FACE_MODEL,
            "ict",
            "pie_facemodels.ict:build",
            config=IctSettings,
            summary="ICT-FaceKit: 100 identity modes, 53 named blendshapes, a generic albedo; MIT, no registration.",
        ),
        component(
            Kind.FACE_MODEL,
            "procedural",
            "pie_facemodels.procedural.component:build",
            summary="A morphable head made of formulas: 257 parameters, named expressions, 66 landmarks.",
        ),
    ]
