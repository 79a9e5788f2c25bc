"""The kinds of component, each declared here and nowhere else: what it is, where a run chooses it, what tests it."""

from __future__ import annotations

import enum


class Slot(str, enum.Enum):
    """How a run chooses the components of a kind."""

    #: One for the run, under the kind's name: `generator=stylegan2`.
    ONE = "one"
    #: One for each block τ: `rig.rotation.name=stylerig`.
    PER_BLOCK = "per block"
    #: One for each role: `features.recognition.name=arcface`.
    PER_ROLE = "per role"
    #: Any number, each a named entry of `terms`.
    TERM = "term"
    #: Not part of a run's configuration.
    NONE = "none"


class Kind(str, enum.Enum):
    """The kinds of component; the value is also the name of the Hydra group that selects one.

    Attributes:
        slot: how a run chooses components of the kind.
        protocol: name in `pie_framework.api` of what a component has to be.
        network: whether energies and edits see it, as a part of `Networks`.
        suite: name in `pie_framework.testing.conformance` of the suite that tests it; empty where there is none.
        article: the kind in words, for messages.
        old_hook: the hook that declared it before `pie_components`; empty where there was none.
    """

    slot: Slot
    protocol: str
    network: bool
    suite: str
    article: str
    old_hook: str

    def __new__(
        cls,
        value: str,
        article: str = "",
        protocol: str = "",
        slot: Slot = Slot.ONE,
        network: bool = False,
        suite: str = "",
        old_hook: str = "",
    ) -> Kind:
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.article, kind.protocol, kind.slot = article, protocol, slot
        kind.network, kind.suite, kind.old_hook = network, suite, old_hook
        return kind

    ENERGY = (
        "energy",
        "an energy term",
        "EnergyTerm",
        Slot.TERM,
        False,
        "EnergyTermTests",
        "pie_energy_terms",
    )
    GENERATOR = (
        "generator",
        "a generator",
        "Generator",
        Slot.ONE,
        True,
        "GeneratorTests",
        "pie_generators",
    )
    FACE_MODEL = (
        "face_model",
        "a face model",
        "FaceModel",
        Slot.ONE,
        True,
        "FaceModelTests",
        "pie_face_models",
    )
    ENCODER = (
        "encoder",
        "a face encoder",
        "FaceEncoder",
        Slot.ONE,
        True,
        "FaceEncoderTests",
        "pie_encoders",
    )
    RIG = ("rig", "a rig network", "RigNetwork", Slot.PER_BLOCK, True, "RigNetworkTests", "pie_rigs")
    FEATURES = (
        "features",
        "a feature network",
        "FeatureNetwork",
        Slot.PER_ROLE,
        True,
        "FeatureNetworkTests",
        "pie_features",
    )
    LANDMARKS = (
        "landmarks",
        "a landmark detector",
        "LandmarkDetector",
        Slot.ONE,
        True,
        "LandmarkDetectorTests",
        "pie_landmarks",
    )
    ALIGNER = ("aligner", "an aligner", "Aligner", Slot.ONE, False, "AlignerTests", "pie_aligners")
    EDITOR = ("editor", "an editor", "Editor", Slot.ONE, True, "EditorTests", "pie_editors")
    INVERTER = ("inverter", "an inverter", "Inverter", Slot.ONE, True, "InverterTests", "pie_inverters")
    OPTIMIZER = ("optimizer", "an optimizer", "Optimizer", Slot.ONE, False, "OptimizerTests")
    INIT = ("init", "a start of the optimisation", "Initializer", Slot.ONE, False, "InitializerTests")
    TRAINER = ("trainer", "a training recipe", "", Slot.NONE, False, "", "pie_trainers")
    SCENES = ("scenes", "a source of portraits", "Scenes", Slot.NONE, False, "ScenesTests", "pie_scenes")
    CONVERTER = ("converter", "a converter", "Converter", Slot.NONE, False, "", "pie_converters")

    def __str__(self) -> str:
        return str(self.value)
