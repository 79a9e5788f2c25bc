"""Hostile and damaged checkpoints of many kinds, and what the readers say of them.

Run:  python tests/unit/untrusted/evil.py      prints kind, peak of Python's memory, what happened

Every file that could run something would write the marker file. Reading is watched by an audit hook of the
interpreter: importing, compiling, starting a process, opening a socket or writing a file while one is read is an error.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[3] / part) for part in (".", "plugins")]

from pie_framework.errors import AssetError
from pie_stylegan.io import load_generator
from tests.unit.untrusted.calls import CALLS
from tests.unit.untrusted.contents import CONTENTS, WHOLE, cut
from tests.unit.untrusted.kinds import MIB
from tests.unit.untrusted.sizes import SIZES
from tests.unit.untrusted.watching import attempt, warm_up

EVILS = [*CALLS, *SIZES, *CONTENTS]


def main() -> int:
    """Print the table; returns 1 if anything ran or was let through."""
    warm_up()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        marker, path = Path(folder) / "marker", Path(folder) / "file.pkl"
        command = f"touch {marker}"
        for evil in EVILS:
            path.write_bytes(evil.make(command))
            outcome = attempt(evil.read, path)
            ran = marker.exists() or bool(outcome.events)
            refused = isinstance(outcome.error, AssetError)
            bad += ran or refused != (evil.said is not None)
            said = str(outcome.error).replace(str(path), "FILE") if outcome.error else "opened; nothing ran"
            mark = "RAN: " + str(outcome.events) if ran else said
            print(f"{evil.kind:<56} {outcome.peak / MIB:6.1f} MiB  {mark}")
        for name, make in WHOLE.items():
            messages, parts = set(), [*cut(make())]
            for part in parts:
                path.write_bytes(part)
                outcome = attempt(load_generator, path)
                bad += not isinstance(outcome.error, AssetError) or bool(outcome.events)
                messages.add(type(outcome.error).__name__)
            print(
                f"{name + ', cut at every 1/50':<56} {'':10}  {len(parts)} of {len(parts)}: {', '.join(messages)}"
            )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"the process grew by {grown:.0f} MiB at most")
    print(f"{len(EVILS)} kinds and {len(WHOLE)} x 49 cuts; {bad} went wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
