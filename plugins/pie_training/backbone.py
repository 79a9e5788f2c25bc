"""`pie train backbone`: encoder and rigs of a generator and a face model, and the folder that keeps them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from pie_framework import arguments
from pie_framework.api import Component, Kind
from pie_framework.composition import backbone
from pie_framework.composition.backbone import HERE, Override, quoted, unquoted
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry
from pie_training.running import read, train
from pie_training.settings import Product

NAME = "backbone"
SUMMARY = "Trains the encoder and the rigs of a generator and a face model, one after the other."
USAGE = """usage: pie train backbone generator=NAME generator.weights=FILE face_model=NAME [KEY=VALUE ...]

Trains, from the generator's own samples alone, the face encoder and then the rig networks, and writes a folder that
'pie run backbone=FOLDER' uses. An encoder that is named (encoder=NAME encoder.weights=FILE) is taken as it is.

  output=FOLDER          outputs/backbones/GENERATOR_FACEMODEL by default
  seconds=3600           time for both, a third of it for the encoder; samples are drawn beyond that time
  encoder_steps=0        if above 0, this many steps of the encoder's recipe instead
  rig_steps=0            if above 0, this many steps of the rigs' recipe instead
  encoder_recipe=NAME, rig_recipe=NAME
                         the recipes; by default those that make weights for the configuration's encoder and rigs
  seed=0                 of everything random
  threads=1              processor threads
  resume=false           go on where an earlier call with the same output stopped
  recipe.encoder.KEY=VALUE, recipe.rig.KEY=VALUE
                         any other setting of the two recipes ('pie train RECIPE --help')

Everything else is composed as 'pie run' does: generator, face_model, landmarks, features, blocks, device."""

#: Where a recipe's folder keeps the state of its training.
STATE = "state.pt"
#: Settings of the run rather than of a backbone; they choose where training happens and are not kept.
PLACE = ("device", "dtype")


@dataclass(frozen=True)
class BackboneSettings:
    """Settings of the chain.

    Attributes:
        output: folder to write.
        seconds: time for both recipes, above 0, a third of it for the encoder.
        encoder_steps: steps of the encoder's recipe instead of its share of the time; 0 for the time.
        rig_steps: steps of the rigs' recipe instead of their share of the time; 0 for the time.
        encoder_recipe, rig_recipe: names of the recipes; empty: see `recipe_for`.
        seed: of everything random.
        threads: processor threads.
        resume: go on with what is in `output`.
        recipe: further settings of the recipes, by "encoder" and "rig".
    """

    output: str = ""
    seconds: Annotated[float, Gt(0)] = 3600.0
    encoder_steps: Annotated[int, Ge(0)] = 0
    rig_steps: Annotated[int, Ge(0)] = 0
    encoder_recipe: str = ""
    rig_recipe: str = ""
    seed: Annotated[int, Ge(0)] = 0
    threads: Annotated[int, Ge(1)] = 1
    resume: bool = False
    recipe: dict[Literal["encoder", "rig"], dict[str, Any]] = field(default_factory=dict)

    def named(self, kind: Kind) -> str:
        """Name of the recipe of a kind, as given."""
        return self.encoder_recipe if kind is Kind.ENCODER else self.rig_recipe


def main(words: Sequence[str], registry: Registry) -> int:
    """Train, and write the folder; returns the exit status."""
    from pie_framework.composition.compose import compose
    from pie_framework.composition.schema import parse
    from pie_framework.composition.uses import file_keys

    if not words or any(word in ("-h", "--help") for word in words):
        print(USAGE)
        return 0
    settings, composed = split(words, registry)
    run = parse(compose([str(o) for o in composed], registry))
    folder = Path(
        settings.output
        or default_folder(run.components.get("generator", {}), run.components.get("face_model", {}))
    )
    _check_folder(folder, settings.resume)
    files = file_keys(run, registry)
    kept = [_absolute(o) if o.key.lstrip("+") in files else o for o in composed if o.group in backbone.KEYS]
    kept += _foreign(kept)
    for override in kept:
        backbone.check(override, str(folder))
    where = [str(o) for o in composed if o.group in PLACE]
    stages = []
    for kind in _to_train(settings, kept):
        maker, product = recipe_for(registry, kind, settings.named(kind), run.components.get(kind.value))
        stages.append((kind, maker, product))
    for kind, recipe, _ in stages:
        _check_recipe(settings, kind, recipe, folder, registry)
    chosen: dict[str, Any] = {}
    for number, (kind, recipe, product) in enumerate(stages, 1):
        say(f"{number}/{len(stages)} {kind.value}, into {folder / kind.value}")
        own = _recipe(settings, kind, folder)
        own += [f"blocks=[{','.join(run.blocks)}]"] if kind is Kind.RIG else []
        status = train(recipe, [*(str(_inside(o, folder)) for o in kept), *where, *own], registry)
        if status:
            return status
        chosen[kind.value] = own
        kept += _use(product, run.blocks)
    if _first():
        backbone.write(folder, kept, {"settings": chosen, "seed": settings.seed})
    say(f"{folder} is complete. Use it with: pie run {backbone.KEY}={quoted(str(folder))} input=photo.jpg")
    return 0


def _to_train(settings: BackboneSettings, kept: Sequence[Override]) -> list[Kind]:
    """What is trained, in order; an encoder that is named is not."""
    named = {override.group for override in kept}
    if "rig" in named:
        raise ConfigError("the rigs are what is trained here; none can be named", "Leave rig out.")
    if "encoder" not in named:
        return [Kind.ENCODER, Kind.RIG]
    if settings.encoder_recipe:
        raise ConfigError("an encoder that is named is not trained", "Leave encoder or encoder_recipe out.")
    return [Kind.RIG]


def recipe_for(registry: Registry, kind: Kind, name: str, composed: Any) -> tuple[Component, Product]:
    """The recipe that makes the weights of a kind, and the `product` that its settings declare.

    Args:
        registry: the installed recipes.
        kind: `Kind.ENCODER` or `Kind.RIG`.
        name: of the recipe; empty: the one whose weights are for a component that the configuration has, or the only
            one.
        composed: the components of that kind in the configuration: `{name: ...}`, or one such node for each block.

    Raises:
        ConfigError: there is no such recipe, or several will do.
    """
    makers: dict[str, tuple[Component, Product]] = {}
    for key, recipe in registry.named(Kind.TRAINER):
        product = getattr(recipe.config, "product", None)
        if isinstance(product, Product) and product.kind is kind:
            makers[key] = recipe, product
    if name:
        if name not in makers:
            raise ConfigError(
                f"{kind.value}_recipe: no recipe '{name}' makes {kind.article}", did_you_mean(name, makers)
            )
        return makers[name]
    nodes = [composed, *composed.values()] if isinstance(composed, Mapping) else []
    used = {node.get("name") for node in nodes if isinstance(node, Mapping)}
    fitting = {key: maker for key, maker in makers.items() if maker[1].component in used}
    found = fitting or makers
    if len(found) != 1:
        what = f"{len(found)} recipes make" if found else "no installed recipe makes"
        raise ConfigError(
            f"{what} {kind.article}",
            f"Choose {kind.value}_recipe from {', '.join(found)}." if found else None,
        )
    return next(iter(found.values()))


def _use(product: Product, blocks: Sequence[str]) -> list[Override]:
    """Overrides that choose what was trained."""
    key, path = product.kind.value, f"{HERE}/{product.kind.value}/{product.file}"
    places = [(key, path)]
    if product.kind is Kind.RIG:
        places = [(f"{key}.{block}", path.replace("{block}", block)) for block in blocks]
    return [
        override
        for place, file in places
        for override in (Override(f"{place}.name", product.component), Override(f"{place}.weights", file))
    ]


def _check_folder(folder: Path, resume: bool) -> None:
    """Hours of training are not written over because resume=true was forgotten."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"'{folder}' is not a folder", "Choose another output=.")
    for name in (backbone.FILE, f"encoder/{STATE}", f"rig/{STATE}"):
        if (folder / name).exists() and not resume:
            raise ConfigError(
                f"'{folder}' holds a backbone, or a part of one ({name})",
                "Go on with resume=true, choose another output=, or remove the folder.",
            )


def _first() -> bool:
    """Whether this is the process that writes; torchrun starts several and numbers them."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A line of progress, once however many processes there are."""
    if _first():
        print(text, flush=True)


def split(words: Sequence[str], registry: Registry) -> tuple[BackboneSettings, list[Override]]:
    """The chain's own settings, and the overrides of the composition; ConfigError for a word that is neither."""

    from pie_framework.composition.compose import root_names
    from pie_framework.settings import merge

    own = {f.name for f in fields(BackboneSettings)}
    known = set(root_names(registry))
    mine, composed = [], []
    for word in backbone.expand(words):
        override = Override.parse(word)
        if override.group in own:
            mine.append(word)
        elif override.group in known:
            composed.append(override)
        else:
            raise ConfigError(
                f"there is no setting '{override.key}'", did_you_mean(override.group, own | known)
            )
    return merge(BackboneSettings, arguments.settings(mine)), composed


def default_folder(generator: Mapping[str, Any], face_model: Mapping[str, Any]) -> str:
    """outputs/backbones/GENERATOR_FACEMODEL, where GENERATOR is the stem of the weight file's name."""
    weights = str(generator.get("weights") or generator.get("name", "generator"))
    stem = Path(weights.rpartition("/")[2]).stem or "generator"
    return f"outputs/backbones/{stem}_{face_model.get('name', 'face')}"


def _recipe(settings: BackboneSettings, kind: Kind, folder: Path) -> list[str]:
    """Overrides of the recipe of a kind."""
    name = kind.value
    steps, share = (settings.encoder_steps, 1 / 3) if kind is Kind.ENCODER else (settings.rig_steps, 2 / 3)
    budget = (
        [f"steps={steps}", "seconds=0"] if steps else ["steps=0", f"seconds={settings.seconds * share:g}"]
    )
    resume = settings.resume and (folder / name / STATE).exists()
    common = [f"seed={settings.seed}", f"threads={settings.threads}", f"resume={str(resume).lower()}"]
    return [f"output={folder / name}", *budget, *common, *_flat(settings.recipe.get(name, {}))]


def _check_recipe(
    settings: BackboneSettings, kind: Kind, recipe: Component, folder: Path, registry: Registry
) -> None:
    """Find mistakes in a recipe's settings before hours have gone into the other."""
    try:
        read(recipe, _recipe(settings, kind, folder), registry)
    except ConfigError as error:
        raise ConfigError(f"recipe.{kind.value}: {error.message}", error.hint) from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}={'null' if value is None else value}")
    return found


def _foreign(kept: Sequence[Override]) -> list[Override]:
    """What a generator other than the bundled one needs where nothing was said: the bundled inverter does not know it,
    so w starts at the mean, and photos are cut as for FFHQ."""
    if not any(o.group == "generator" for o in kept):
        return []
    keys = {o.key for o in kept}
    defaults = {"inverter": "none", "init": "mean"}
    if not any(str(o) == "aligner=none" for o in kept):
        defaults["aligner.framing"] = "ffhq"
    return [Override(key, value) for key, value in defaults.items() if key not in keys]


def _absolute(override: Override) -> Override:
    """A local file named relative to the working directory, with its whole path, so that any folder can run it."""
    value = unquoted(override.value)
    path = Path(value).expanduser()
    if "://" in value or not path.exists():
        return override
    return Override(override.key, quoted(str(path.resolve())))


def _inside(override: Override, folder: Path) -> Override:
    return Override(override.key, quoted(unquoted(override.value).replace(HERE, str(folder.resolve()))))
