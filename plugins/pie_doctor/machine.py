"""Python, torch, devices, memory, disks, threads and optional packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from types import ModuleType

from pie_doctor.report import Report, Status
from pie_framework.assets.store import Store
from pie_framework.version import __version__

#: Python versions from here on are supported.
OLDEST_PYTHON = (3, 10)
#: Free disk space below which a warning is given, bytes.
LITTLE = 2 << 30
GIGA = 1e9


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
        text = f"cannot be imported: {type(error).__name__}: {_line(error)}"
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
            report.add("machine", "CUDA", Status.WARNING, f"fails: {type(error).__name__}: {_line(error)}")
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
    if total is None:
        report.add("machine", "memory", Status.NOTE, "unknown")
        return
    text = f"{total / GIGA:.1f} GB" + ("" if free is None else f", {free / GIGA:.1f} GB available")
    report.add("machine", "memory", Status.OK, text)


def memory() -> tuple[int | None, int | None]:
    """Bytes of main memory, in all and available; None where the system does not say. Containers' limits count."""
    total: int | None = None
    free: int | None = None
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = _windows_memory()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if len(line.split()) > 1}
        free = fields.get("MemAvailable")
    except (OSError, ValueError, IndexError):
        free = None
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None and (total is None or limit < total):
        total = limit
        left = limit - (used or 0)
        free = left if free is None else min(free, left)
    return total, free


def _cgroup(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _windows_memory() -> int | None:
    if sys.platform == "win32":
        import ctypes

        class State(ctypes.Structure):
            _fields_ = [
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
            ]

        state = State()
        state.length = ctypes.sizeof(State)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(state)):
            return int(state.total)
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


#: Optional packages: module, distributions that bring it, extra, what it is for.
EXTRAS = (
    (
        "cv2",
        ("opencv-python-headless", "opencv-python"),
        "align",
        "finding faces in photos that are not crops",
    ),
    ("mediapipe", ("mediapipe",), "mediapipe", "landmarks=mediapipe"),
    ("tensorboard", ("tensorboard",), "tensorboard", "curves of training in TensorBoard"),
)


def extras(report: Report, needed: dict[str, str]) -> None:
    """Add findings about optional packages.

    Args:
        report: is added to.
        needed: module to what the composed run needs it for.
    """
    for module, names, extra, purpose in EXTRAS:
        try:
            found = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            found = False
        report.facts.setdefault("extras", {})[module] = found
        if found:
            report.add("extras", module, Status.OK, f"{_version(names)}: {purpose}")
            continue
        hint = f'Install it with: pip install "pie-framework[{extra}]".'
        if module in needed:
            report.add("extras", module, Status.ERROR, f"absent, and needed for {needed[module]}", hint)
        else:
            report.add("extras", module, Status.NOTE, f"absent: {purpose}", hint)


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "version unknown"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
