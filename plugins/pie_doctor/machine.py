"""Python, torch, devices, memory, disks, threads and optional packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from pie_doctor.report import Report, Status
from pie_framework.assets.store import Store
from pie_framework.composition.plan import Choice
from pie_framework.errors import in_one_line
from pie_framework.plugins import Registry
from pie_framework.version import __version__

#: Python versions from here on are supported.
OLDEST_PYTHON = (3, 10)
#: Free disk space below which a warning is given, bytes.
LITTLE = 2 << 30
GIGA = 1e9
#: Names that extras for those who work on a package have everywhere.
DEVELOPMENT = ("test", "tests", "docs", "dev")


def machine(report: Report, outputs: str = "outputs") -> ModuleType | None:
    """Add findings about this machine; torch, or None when it cannot be imported."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        report.add("machine", "Python", Status.ERROR, f"{version}; 3.10 or newer is needed")
    else:
        report.add("machine", "Python", Status.OK, f"{version} ({sys.executable})")
    report.add(
        "machine", "pie-framework", Status.OK, f"{__version__} on {platform.system()} {platform.machine()}"
    )
    torch = _torch(report)
    _devices(report, torch)
    _memory(report)
    _threads(report, torch)
    for name, folder in (("disk, outputs", Path(outputs)), ("disk, assets", Store().folder)):
        _disk(report, name, folder)
    return torch


def _torch(report: Report) -> ModuleType | None:
    try:
        torch = importlib.import_module("torch")
        version = str(torch.__version__)
        torch.zeros(2).sum().item()
    except Exception as error:  # a broken installation raises anything
        text = f"cannot be imported: {in_one_line(error)}"
        report.add(
            "machine", "torch", Status.ERROR, text, "Install it again: see https://pytorch.org/get-started."
        )
        return None
    report.add("machine", "torch", Status.OK, version)
    report.facts["torch"] = version
    return torch


def _devices(report: Report, torch: ModuleType | None) -> None:
    found: list[dict[str, object]] = []
    if torch is not None:
        try:
            if torch.cuda.is_available():
                for i in range(torch.cuda.device_count()):
                    card = torch.cuda.get_device_properties(i)
                    free, total = torch.cuda.mem_get_info(i)
                    found.append({"device": f"cuda:{i}", "name": card.name, "free": free, "total": total})
        except Exception as error:
            report.add("machine", "CUDA", Status.WARNING, f"fails: {in_one_line(error)}")
    for device in found:
        free, total = float(str(device["free"])), float(str(device["total"]))
        text = f"{device['name']}, {free / GIGA:.1f} of {total / GIGA:.1f} GB free"
        report.add("machine", str(device["device"]), Status.OK, text)
    if not found:
        report.add("machine", "CUDA", Status.NOTE, "no device is seen; runs go on the processor")
    mps = getattr(getattr(torch, "backends", None), "mps", None)
    if mps is not None and mps.is_available():
        report.add("machine", "MPS", Status.NOTE, "seen, but device=mps is not supported")
    report.facts["devices"] = found


def _memory(report: Report) -> None:
    total, free = memory()
    report.facts["memory"] = {"total": total, "available": free}
    report.add("machine", "memory", Status.OK, f"{total / GIGA:.1f} GB, {free / GIGA:.1f} GB available")


def memory() -> tuple[int, int]:
    """Bytes of main memory, in all and available; a container's limit counts."""
    import psutil

    found = psutil.virtual_memory()
    limit = _cgroup("memory.max") or found.total
    return min(limit, found.total), max(0, min(found.available, limit - (_cgroup("memory.current") or 0)))


def _cgroup(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _threads(report: Report, torch: ModuleType | None) -> None:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    used = torch.get_num_threads() if torch is not None else None
    said = os.environ.get("OMP_NUM_THREADS")
    text = f"{allowed} processors may be used of {os.cpu_count() or 1}"
    if used is not None:
        text += f"; torch uses {used} thread{'' if used == 1 else 's'}" + (
            f" (OMP_NUM_THREADS={said})" if said else ""
        )
    status = Status.WARNING if used is not None and used > allowed else Status.OK
    hint = f"More threads than processors are slow: set OMP_NUM_THREADS={allowed}."
    report.add("machine", "threads", status, text, hint if status is Status.WARNING else "")
    report.facts["threads"] = {"processors": allowed, "torch": used}


def _disk(report: Report, name: str, folder: Path) -> None:
    there = next((p for p in (folder.absolute(), *folder.absolute().parents) if p.exists()), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        report.add("machine", name, Status.WARNING, f"{folder}: {error.strerror or error}")
        return
    text = f"{free / GIGA:.1f} GB free at {there}"
    if not os.access(there, os.W_OK):
        report.add("machine", name, Status.WARNING, f"{there} cannot be written to")
    elif free < LITTLE:
        report.add("machine", name, Status.WARNING, text, "That is little for checkpoints and runs.")
    else:
        report.add("machine", name, Status.OK, text)
    report.facts.setdefault("disk", {})[name] = {"folder": str(there), "free": free}


def extras(report: Report, registry: Registry | None, parts: Sequence[Choice]) -> None:
    """Add findings about optional packages: the extras of the distributions that bring plugins, and what is needed.

    Args:
        report: is added to.
        registry: the installed plugins.
        parts: the components of the composed run.
    """
    needed = {
        package: f"{part.role}={part.component.name}" for part in parts for package in part.component.packages
    }
    of: dict[str, str] = {}
    for distribution in sorted({origin.distribution for origin in registry.plugins} if registry else ()):
        for package, extra in _optional(distribution):
            of.setdefault(package, f"{distribution}[{extra}]")
    for package in sorted({*of, *needed}):
        version = _version(package)
        report.facts.setdefault("extras", {})[package] = version is not None
        hint = f'Install it with: pip install "{of.get(package, package)}".'
        if version is not None:
            report.add("extras", package, Status.OK, f"{version}, of {of.get(package, package)}")
        elif package in needed:
            report.add("extras", package, Status.ERROR, f"absent, and needed for {needed[package]}", hint)
        else:
            report.add("extras", package, Status.NOTE, "absent", hint)


def _optional(distribution: str) -> Iterator[tuple[str, str]]:
    """The packages that the extras of a distribution bring, each with its extra; not those for its developers."""
    for text in importlib.metadata.requires(distribution) or ():
        found = re.match(r"([\w.-]+).*\bextra *== *[\"']([\w.-]+)", text)
        if found is not None and found[2] not in DEVELOPMENT:
            yield found[1], found[2]


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
