"""Hostile and damaged checkpoints of many kinds, and what the readers say of them.

Run:  python tests/unit/pie_weights/untrusted/evil.py      prints kind, growth of the process, time, what happened

Every file that could run something would write the marker file. Reading is watched by an audit hook of the
interpreter: importing, compiling, starting a process, opening a socket or writing a file while one is read is an error.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[4] / part) for part in (".", "plugins")]

from pie_framework.errors import AssetError
from pie_stylegan.io import load_generator
from tests.unit.pie_weights.untrusted.calls import CALLS
from tests.unit.pie_weights.untrusted.contents import CONTENTS, WHOLE, cut
from tests.unit.pie_weights.untrusted.kinds import MIB
from tests.unit.pie_weights.untrusted.sizes import SIZES
from tests.unit.pie_weights.untrusted.watching import Outcome, attempt, warm_up

EVILS = [*CALLS, *SIZES, *CONTENTS]


def main() -> int:
    """Print the table; returns 1 if anything ran or was let through."""
    warm_up()
    bad = 0
    print("| kind | MiB | s | what happened |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        marker, path = Path(folder) / "marker", Path(folder) / "file.pkl"
        command = f"touch {marker}"
        for evil in EVILS:
            path.write_bytes(evil.make(command))
            outcome = attempt(evil.read, path)
            ran = marker.exists() or bool(outcome.events)
            refused = isinstance(outcome.error, AssetError)
            bad += ran or refused != (evil.said is not None)
            said = (
                getattr(outcome.error, "message", str(outcome.error))
                if outcome.error
                else "opened; nothing ran"
            )
            row(evil.kind, outcome, f"RAN: {outcome.events}" if ran else said.replace(str(path), "FILE"))
        for name, make in WHOLE.items():
            outcomes = []
            for part in cut(make()):
                path.write_bytes(part)
                outcomes.append(attempt(load_generator, path))
            wrong = sum(not isinstance(o.error, AssetError) or bool(o.events) for o in outcomes)
            bad += wrong
            worst = max(outcomes, key=lambda outcome: outcome.peak)
            row(
                f"{name}, cut at every 1/50 (worst)",
                worst,
                f"{len(outcomes) - wrong} of {len(outcomes)} refused",
            )
    print(f"\n{len(EVILS)} kinds and {len(WHOLE)} x 49 cuts; {bad} went wrong")
    return 1 if bad else 0


def row(kind: str, outcome: Outcome, said: str) -> None:
    """One line of the table, in Markdown."""
    print(f"| {kind} | {outcome.peak / MIB:.0f} | {outcome.seconds:.2f} | {said.replace('|', '')} |")


if __name__ == "__main__":
    sys.exit(main())
