"""The examination: what is installed, what would be composed, whether it can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType

from pie_doctor import machine
from pie_doctor.report import Report, Status
from pie_framework.api import MISSING, Kind, asset_settings
from pie_framework.assets.catalogue import UNKNOWN, Catalogue, load
from pie_framework.composition.plan import Choice, Plan, make_plan
from pie_framework.composition.schema import RunConfig
from pie_framework.composition.uses import Use, uses
from pie_framework.errors import PieError, in_one_line
from pie_framework.files.addresses import PACKAGE_SCHEME
from pie_framework.plugins import Registry, boundary, discover
from pie_weights.untrusted import sniff


def examine(overrides: Sequence[str] = (), build: bool = False, measure: bool = False) -> Report:
    """Look over this installation and the run that the overrides compose.

    Args:
        overrides: as `pie run` takes them.
        build: also build every component, which loads its weights.
        measure: also build, and take a step of each stage with the run's own input, to see the memory it needs.

    Returns:
        The findings; nothing that is wrong with the installation or the run raises.
    """
    report = Report(list(overrides))
    registry = _plugins(report)
    plan = _plan(report, overrides, registry)
    torch = machine.machine(report, plan.config.outputs if plan is not None else "outputs")
    if plan is not None:
        _components(report, plan, torch)
        files = uses(plan, _catalogue(report, plan.registry))
        _assets(report, files)
        _licences(report, files)
        if (build or measure) and torch is not None and report.can_run:
            from pie_doctor.measure import build_and_measure

            build_and_measure(report, plan, measure)
    machine.extras(report, registry, _parts(plan))
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


def _plan(report: Report, overrides: Sequence[str], registry: Registry | None) -> Plan | None:
    if registry is None:
        return None
    try:
        from pie_framework.composition import backbone, compose

        plan = make_plan(compose.compose(backbone.expand(list(overrides)), registry), registry)
    except PieError as error:
        report.add("run", "configuration", Status.ERROR, error.message, error.hint or "")
        return None
    except (Exception, SystemExit) as error:  # a plugin's configuration folder may hold anything
        report.add("run", "configuration", Status.ERROR, in_one_line(error))
        return None
    report.add("run", "configuration", Status.OK, "composes: " + (" ".join(overrides) or "the defaults"))
    return plan


def _parts(plan: Plan | None) -> list[Choice]:
    """The components of the run beside its terms."""
    return [choice for choice in plan.choices.values() if choice.kind is not Kind.ENERGY] if plan else []


def _components(report: Report, plan: Plan, torch: ModuleType | None) -> None:
    """Whether all that is required is chosen, and whether its code can be imported."""
    for gap in (*plan.gaps, *([plan.aligner_gap] if plan.aligner_gap else ())):
        report.add("run", "requirements", Status.ERROR, gap.message, gap.hint or "")
    _device(report, plan.config, torch)
    for part in _parts(plan):
        name = f"{part.role}={part.component.name}"
        absent = {key for key, value in part.values.items() if value == MISSING}
        for key in sorted(absent - set(asset_settings(part.component.config))):  # files are told below
            report.add(
                "run",
                f"{part.role}.{key}",
                Status.ERROR,
                "it must be given",
                f"Give {part.role}.{key}=VALUE.",
            )
        if part.fault and not absent:
            report.add("run", name, Status.ERROR, str(part.fault))
            continue
        try:
            if torch is not None:
                boundary.load(plan.registry, part.component)
        except PieError as error:
            report.add("run", name, Status.ERROR, f"its code fails: {in_one_line(error)}")
            continue
        text = f"needed by {part.who}; of {plan.registry.provenance(part.component)}"
        report.add("run", name, Status.OK, text)
    report.facts["components"] = {part.role: part.component.name for part in _parts(plan)}


def _device(report: Report, run: RunConfig, torch: ModuleType | None) -> None:
    if torch is None:
        return
    try:
        from pie_framework.composition.build import choose_device

        device = choose_device(run.device)
    except Exception as error:
        hint = error.hint if isinstance(error, PieError) else None
        report.add("run", "device", Status.ERROR, in_one_line(error).removesuffix(f". {hint}"), hint or "")
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
            head = stream.read(64)
        if not head:
            return Status.ERROR, "is empty"
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
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
