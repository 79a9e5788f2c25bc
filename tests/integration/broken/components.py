"""Broken components of the other kinds: each wraps or replaces the toy world's own."""

from __future__ import annotations

from tests.integration.broken.world import HEADER, RUN, Case

DECLARED = """
@hookimpl
def pie_components():
    kind = Kind("{kind}")
    needs = frozenset({requires})
    return [Component(kind, "odd", "odd.made:build", requires=needs, api_version=(1, 1))]
"""

CONFIGURED = """

@hookimpl
def pie_config_paths():
    return ["odd.conf"]
"""

#: Every network of the toy world with one method replaced.
WRAPPED = """
import torch

from pie_framework.api import EmptyConfig
from pie_framework.testing import toy_factories
from pie_framework.testing.toy_plugin import ToyFeaturesConfig, ToyRigConfig

SETTINGS = {{"rig": ToyRigConfig("rotation"), "features": ToyFeaturesConfig()}}


def build(config, context):
    made = toy_factories.{kind}(SETTINGS.get("{kind}", EmptyConfig()), context)
    right = getattr(made, "{method}")

    def wrong(*given):
        value = right(*given)
        {body}

    made.{method} = wrong
    return made
"""

#: What is chosen so that the component is used.
CHOICES = {
    "rig": ("rig.rotation.name=odd", "~rig.rotation.block", "energy=full"),
    "features": ("features.perceptual.name=odd",),
    "generator": ("generator.name=odd", "energy=full"),
    "encoder": ("encoder.name=odd", "energy=full"),
    "landmarks": ("landmarks.name=odd", "energy=full"),
    "face_model": ("face_model.name=odd", "energy=full"),
}


def wrapped(
    kind: str, method: str, fault: str, body: str, said: str, kept: str = "failed", status: int = 1
) -> Case:
    """A component of the toy world whose method ends with `body`."""
    words = CHOICES.get(kind, (f"{kind}.name=odd",))
    if kind == "inverter":
        words = (*words, "init=inverter")
    requires = "{'rig'}" if kind == "editor" else "{'generator'}" if kind == "inverter" else "{'face_model'}"
    if kind == "face_model":
        requires = "()"
    return Case(
        kind,
        fault,
        {
            "odd/plugin.py": HEADER + DECLARED.format(kind=kind, requires=requires),
            "odd/made.py": WRAPPED.format(kind=kind, method=method, body=body),
        },
        (*RUN, *words),
        status,
        said,
        kept,
    )


def made(kind: str, fault: str, text: str, said: str, kept: str = "", status: int = 1) -> Case:
    """A component whose factory is `text`."""
    files = {
        "odd/plugin.py": HEADER + DECLARED.format(kind=kind, requires="()") + CONFIGURED,
        "odd/made.py": text,
        f"odd/conf/{kind}/odd.yaml": "name: odd\n",
    }
    return Case(kind, fault, files, (*RUN, f"{kind}=odd"), status, said, kept)


OPTIMIZER = """
import torch


class Odd:
    def init(self, variable):
        {init}

    def update(self, variable, gradient, state, lr, step):
        change = -lr * gradient
        {body}


def build(config, context):
    return Odd()
"""


def optimizer(fault: str, body: str, said: str, kept: str = "failed", init: str = "return ()") -> Case:
    return made("optimizer", fault, OPTIMIZER.format(body=body, init=init), said, kept)


START = """
class Odd:
    def start(self, networks, images, rng):
        {body}


def build(config, context):
    return Odd()
"""

ALIGNER = START.replace("start(self, networks, images, rng)", "align(self, photo, size)")

CASES = [
    wrapped(
        "generator",
        "synthesize",
        "raises",
        "raise ValueError('no')",
        "the generator 'odd' of odd-dist 1.0 failed",
        "failed",
    ),
    wrapped(
        "generator",
        "synthesize",
        "gives a small image",
        "return value[..., ::2, ::2]",
        "gave image of the shape",
        "failed",
    ),
    wrapped(
        "generator", "synthesize", "gives a list", "return [value]", "gave list instead of a tensor", "failed"
    ),
    wrapped(
        "generator",
        "synthesize",
        "is NaN",
        "return value * float('nan')",
        "not finite at step 1",
        "non-finite",
    ),
    wrapped(
        "generator",
        "sample",
        "samples another shape",
        "return value[:, :1]",
        "gave samples of its prior of the shape",
        "failed",
    ),
    made(
        "generator",
        "has no resolution",
        "class Odd: pass\n\n\ndef build(c, x):\n    return Odd()\n",
        "is no Generator: Odd has no",
    ),
    wrapped(
        "encoder",
        "encode",
        "raises",
        "raise IndexError('no')",
        "the encoder 'odd' of odd-dist 1.0 failed in",
        "failed",
    ),
    wrapped(
        "encoder",
        "encode",
        "gives too few coefficients",
        "return value[:, :5]",
        "gave coefficients of the shape",
        "failed",
    ),
    wrapped("rig", "rig", "raises", "raise KeyError('no')", "the rig 'odd' of odd-dist 1.0 failed"),
    wrapped("rig", "rig", "gives one layer", "return value[:, :1]", "gave latent of the shape (1, 1, 44)"),
    wrapped(
        "features",
        "features",
        "gives a tensor",
        "return value['projected']",
        "gave Tensor instead of named feature maps",
    ),
    wrapped(
        "features",
        "features",
        "mixes the batch",
        "return {'a': value['projected'].sum(dim=0)}",
        "feature map 'a' of the shape",
    ),
    wrapped(
        "landmarks",
        "detect",
        "gives other landmarks",
        "return value[:, :3]",
        "gave landmarks of the shape",
        "failed",
    ),
    wrapped(
        "face_model",
        "render",
        "raises",
        "raise ValueError('no')",
        "the face_model 'odd' of odd-dist 1.0 failed in wrong(): ValueError: no",
    ),
    wrapped(
        "face_model",
        "render",
        "gives a tensor",
        "return value.image",
        "the face_model 'odd' of odd-dist 1.0 gave Tensor instead of a Rendering",
    ),
    wrapped(
        "editor",
        "edit",
        "raises",
        "raise ValueError('no')",
        "the edit 'turn' failed: the editor 'odd' of odd-dist 1.0 failed",
    ),
    wrapped(
        "editor",
        "edit",
        "gives another shape",
        "return value[:, :1]",
        "the editor 'odd' of odd-dist 1.0 gave",
    ),
    wrapped(
        "inverter",
        "invert",
        "raises",
        "raise ValueError('no')",
        "the inverter 'odd' of odd-dist 1.0 failed in wrong(): ValueError: no",
        "",
    ),
    wrapped(
        "inverter",
        "invert",
        "gives other layers",
        "return value[:, :2]",
        "the start gives latents (1, 2, 44)",
        "",
        2,
    ),
    optimizer(
        "raises", "return 1 / 0", "the optimizer 'odd' of odd-dist 1.0 failed in update(): ZeroDivisionError"
    ),
    optimizer(
        "raises at the start", "return change, ()", "failed in init(): ZeroDivisionError", "", "return 1 / 0"
    ),
    optimizer("gives the change alone", "return change", "the optimizer 'odd' of odd-dist 1.0"),
    optimizer("gives another shape", "return change[..., :2], ()", "gave a change (1, 1, 2), not (1, 1, 44)"),
    optimizer(
        "loses its state", "return change, ()", "gave a state that is not", "failed", "return (variable,)"
    ),
    optimizer(
        "takes infinite steps",
        "return change * float('inf'), ()",
        "the step of the optimizer 'odd' of odd-dist 1.0 is not finite",
        "non-finite",
    ),
    optimizer("never moves", "return 0 * change, ()", "none of the 12 steps moved the latent", "stalled"),
    made(
        "init", "raises", START.format(body="raise ValueError('no')"), "the init 'odd' of odd-dist 1.0 failed"
    ),
    made(
        "init", "gives a list", START.format(body="return [0.0]"), "the init 'odd' of odd-dist 1.0 gave list"
    ),
    made(
        "aligner",
        "raises",
        ALIGNER.format(body="raise ValueError('no')"),
        "the aligner 'odd' of odd-dist 1.0 failed in align(): ValueError",
    ),
    made(
        "aligner",
        "gives a picture",
        ALIGNER.format(body="return photo"),
        "the aligner 'odd' of odd-dist 1.0 gave Image",
    ),
]
