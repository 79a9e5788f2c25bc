"""How long the phases of a command took."""

from __future__ import annotations


def phases(started: float, **ended: float) -> dict[str, float]:
    """Seconds of consecutive phases, and of all together under "total".

    Args:
        started: when the first began, of `time.perf_counter`.
        ended: when each ended, in their order.
    """
    seconds: dict[str, float] = {}
    before = started
    for name, end in ended.items():
        seconds[name] = end - before
        before = end
    return {**seconds, "total": before - started}
