"""The examination: what is installed, what would be composed, whether it can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import ModuleType

from omegaconf import DictConfig, OmegaConf

from pie_doctor import headers as weight_headers
from pie_doctor import machine
from pie_doctor.estimate import Estimate, estimate
from pie_doctor.headers import Header
from pie_doctor.report import Report, Status
from pie_framework.assets.catalogue import UNKNOWN, Catalogue, load
from pie_framework.assets.formats import HEAD, page
from pie_framework.assets.store import Store
from pie_framework.composition.plan import make_plan
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.composition.uses import Chosen, Use, chosen, uses
from pie_framework.errors import PieError
from pie_framework.files.addresses import PACKAGE_SCHEME
from pie_framework.plugins import Registry, boundary, discover
from pie_framework.settings import FILE_KEYS
from pie_framework.untrusted import sniff

#: Optional packages that components need, by (kind, name).
NEEDS = {("landmarks", "mediapipe"): "mediapipe"}


def examine(overrides: Sequence[str] = (), build: bool = False) -> Report:
    """Look over this installation and the run that the overrides compose.

    Args:
        overrides: as `pie run` takes them.
        build: also build every component, which loads its weights.

    Returns:
        The findings; nothing that is wrong with the installation or the run raises.
    """
    report = Report(list(overrides))
    registry = _plugins(report)
    run = _compose(report, overrides, registry)
    torch = machine.machine(report, run.outputs if run is not None else "outputs")
    parts: list[Chosen] = []
    if run is not None and registry is not None:
        parts = _components(report, run, registry, torch)
        found = uses(run, registry, _catalogue(report, registry), Store())
        _assets(report, found)
        said = _headers(found)
        _fits(report, said)
        _licences(report, found)
        built = _build(report, run, registry) if build and torch is not None and report.can_run else None
        generator = next((part for part in parts if part.role == "generator"), None)
        guess = estimate(run, found, said, generator, getattr(built, "resolution", None))
        _memory(report, run, guess)
    kinds = [(part.component.kind.value, part.component.name) for part in parts]
    machine.extras(report, {NEEDS[key]: "=".join(key) for key in kinds if key in NEEDS})
    return report


def _plugins(report: Report) -> Registry | None:
    try:
        registry = discover()
    except PieError as error:
        report.add("plugins", "PIE_PLUGINS", Status.ERROR, error.message, error.hint or "")
        return None
    counts: dict[str, int] = {}
    for _, component in registry.named():
        origin = registry.provenance(component)
        counts[origin.plugin] = counts.get(origin.plugin, 0) + 1
    for origin in registry.plugins:
        count = counts.get(origin.plugin, 0)
        text = f"{origin}, {count} component{'' if count == 1 else 's'}"
        report.add("plugins", origin.plugin, Status.OK, text)
    for problem in registry.problems:
        status = Status.ERROR if problem.fatal else Status.WARNING
        report.add("plugins", problem.provenance.plugin, status, f"{problem.provenance}: {problem.message}")
    report.facts["plugins"] = [asdict(origin) for origin in registry.plugins]
    return registry


def _compose(report: Report, overrides: Sequence[str], registry: Registry | None) -> RunConfig | None:
    if registry is None:
        return None
    try:
        from pie_framework.composition import backbone, compose

        config = compose.compose(backbone.expand(list(overrides)), registry)
        absent = _give_empty(config)
        run = parse(config)
    except PieError as error:
        report.add("run", "configuration", Status.ERROR, error.message, error.hint or "")
        return None
    except (Exception, SystemExit) as error:  # a plugin's configuration folder may hold anything
        report.add("run", "configuration", Status.ERROR, f"{type(error).__name__}: {_line(error)}")
        return None
    for key in absent:
        if key.rpartition(".")[2] not in FILE_KEYS:  # files that have to be given are told below
            report.add("run", key, Status.ERROR, "it must be given", f"Give {key}=VALUE.")
    report.add("run", "configuration", Status.OK, "composes: " + (" ".join(overrides) or "the defaults"))
    return run


def _give_empty(config: DictConfig) -> list[str]:
    """Make empty texts of the values that must be given and are not, so that the rest can be looked at; their keys."""
    absent = sorted(OmegaConf.missing_keys(config))
    for key in absent:
        OmegaConf.update(config, key, "")
    return absent


def _components(report: Report, run: RunConfig, registry: Registry, torch: ModuleType | None) -> list[Chosen]:
    """Whether all that is required is chosen, and whether its code can be imported."""
    try:
        make_plan(run, registry).check()
    except PieError as error:
        report.add("run", "requirements", Status.ERROR, error.message, error.hint or "")
    parts = chosen(run, registry)
    _device(report, run, torch)
    for part in parts:
        name = f"{part.role}={part.component.name}"
        text = f"needed by {part.who}; of {registry.provenance(part.component)}"
        if part.fault and "must be given" not in part.fault:  # a file that has to be given is told below
            report.add("run", name, Status.ERROR, part.fault)
            continue
        try:
            if torch is not None:
                boundary.load(registry, part.component)
        except PieError as error:
            report.add("run", name, Status.ERROR, f"its code fails: {_line(error)}")
            continue
        report.add("run", name, Status.OK, text)
    report.facts["components"] = {part.role: part.component.name for part in parts}
    return parts


def _device(report: Report, run: RunConfig, torch: ModuleType | None) -> None:
    if torch is None:
        return
    try:
        from pie_framework.composition.build import choose_device

        device = choose_device(run.device)
    except Exception as error:
        hint = error.hint if isinstance(error, PieError) else None
        report.add("run", "device", Status.ERROR, _line(error).removesuffix(f". {hint}"), hint or "")
        return
    report.add("run", "device", Status.OK, f"{run.device} is {device}, {run.dtype}")


def _catalogue(report: Report, registry: Registry) -> Catalogue:
    try:
        catalogue = load(registry)
    except PieError as error:
        report.add("plugins", "catalogue of assets", Status.WARNING, error.message, error.hint or "")
        return Catalogue()
    for problem in catalogue.problems:
        report.add("plugins", "catalogue of assets", Status.WARNING, problem)
    return catalogue


def _assets(report: Report, found: Sequence[Use]) -> None:
    for use in found:
        wrong = _content(use)
        if use.problem:
            report.add("assets", use.setting, Status.ERROR, use.problem, use.hint)
        elif wrong is not None:
            report.add("assets", use.setting, wrong[0], f"'{use.uri}' {wrong[1]}", "Is it the right file?")
        else:
            known = f" (asset '{use.entry}')" if use.entry and not use.uri.endswith(use.entry) else ""
            report.add("assets", use.setting, Status.OK, f"{use.uri}{known}")
    report.facts["assets"] = [
        {**asdict(use), "path": None if use.path is None else str(use.path)} for use in found
    ]


def _content(use: Use) -> tuple[Status, str] | None:
    """What the first bytes of a file say against it: an error, or a warning where other formats may be meant."""
    if use.path is None:
        return None
    try:
        if use.path.is_dir():
            return None if any(use.path.iterdir()) else (Status.ERROR, "is an empty folder")
        with use.path.open("rb") as stream:
            head = stream.read(HEAD)
        if not head:
            return Status.ERROR, "is empty"
        if page(head):
            return Status.ERROR, "is a web page, not the file"
        if use.setting.endswith(".weights") and sniff(use.path) == "unknown":
            return Status.WARNING, "is not in a format of weights that is known here"
    except OSError as error:
        return Status.ERROR, f"cannot be read: {error.strerror or error}"
    return None


def _licences(report: Report, found: Sequence[Use]) -> None:
    """Each file once: free, non-commercial, or unknown; what comes with packages, by licence."""
    bundled: dict[str, list[str]] = {}
    told = set()
    for use in found:
        what = use.entry or use.uri
        if not what or what in told:
            continue
        told.add(what)
        name = use.entry or use.setting
        if use.non_commercial:
            hint = "What is made with it, and networks trained from it, may fall under the same terms."
            report.add("licences", name, Status.WARNING, f"non-commercial: {use.licence}", hint)
        elif use.licence == UNKNOWN:
            own = "unknown" if use.entry else f"unknown: '{use.uri}' is a file of yours"
            report.add("licences", name, Status.WARNING, own, "Look at the page that it comes from.")
        elif use.non_commercial is None:
            hint = "Whether it may be used commercially is not known here."
            report.add("licences", name, Status.WARNING, use.licence, hint)
        elif use.uri.startswith(PACKAGE_SCHEME):
            bundled.setdefault(use.licence, []).append(use.role)
        else:
            report.add("licences", name, Status.OK, use.licence)
    for licence, roles in bundled.items():
        report.add("licences", "bundled weights", Status.OK, f"{licence} ({', '.join(roles)})")


def _headers(found: Sequence[Use]) -> dict[str, Header]:
    said: dict[str, Header] = {}
    for use in found:
        if use.path is not None and use.path.is_file() and use.setting == f"{use.role}.weights":
            header = weight_headers.read(use.path)
            if header is not None:
                said[use.role] = header
    return said


def _fits(report: Report, said: Mapping[str, Header]) -> None:
    wrong = weight_headers.compare(said)
    for role, other, text in wrong:
        hint = (
            f"Choose a {role} that was trained with this {other} ('pie train backbone' makes them together)."
        )
        report.add("run", f"{role} and {other}", Status.ERROR, f"do not go together: {text}", hint)
    about = [role for role, header in said.items() if header.layout is not None]
    if not wrong and len(about) > 1:
        blocks = said[about[0]].layout or ()
        text = f"{', '.join(about)} agree on θ ({sum(size for _, size, _ in blocks)} coefficients); "
        text += "whether the face model does shows with --build"
        report.add("run", "compatibility", Status.OK, text)


def _memory(report: Report, run: RunConfig, guess: Estimate) -> None:
    giga = machine.GIGA
    parts = f"{guess.weights / giga:.2f} GB of weights"
    if guess.activations is None:
        text = f"{parts}; the generator's size is not known before it is loaded"
        report.add("memory", "peak", Status.NOTE, text)
    else:
        plural = "" if guess.images == 1 else "s"
        step = f"{guess.images} image{plural} of {guess.resolution} pixels in a step"
        kept = f"{guess.activations / giga:.1f} GB for {step}"
        text = f"about {guess.total / giga:.1f} GB, within a factor of two: {parts}, {kept}"
        free, where = _room(report, run)
        short = free is not None and guess.total > free
        hint = f"There are {free / giga:.1f} GB {where}." if short and free is not None else ""
        report.add("memory", "peak", Status.WARNING if short else Status.OK, text, hint)
    report.facts["estimate"] = {**asdict(guess), "total": guess.total}


def _room(report: Report, run: RunConfig) -> tuple[float | None, str]:
    """Bytes that are free where the run goes, and where that is."""
    devices = report.facts.get("devices") or []
    wanted = "cuda:0" if run.device in ("auto", "cuda") else run.device
    for device in devices:
        if device["device"] == wanted:
            return float(device["free"]), f"free on {wanted}"
    free = (report.facts.get("memory") or {}).get("available")
    return (None if free is None else float(free)), "of memory available"


def _build(report: Report, run: RunConfig, registry: Registry) -> object:
    """Build everything, as a run does before its first step; the generator, or None when something fails."""
    from pie_framework.composition.build import Builder

    try:
        builder = Builder(run, registry)
        generator = builder.networks().generator
        builder.objective()
    except PieError as error:
        report.add("run", "building", Status.ERROR, error.message, error.hint or "")
    except (Exception, SystemExit) as error:
        report.add("run", "building", Status.ERROR, f"{type(error).__name__}: {_line(error)}")
    else:
        report.add("run", "building", Status.OK, "every component was built, with its weights")
        return generator
    return None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
