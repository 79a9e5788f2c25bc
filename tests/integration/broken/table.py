"""The table of docs/plugins/faults.md: `python -m tests.integration.broken.table > docs/plugins/faults.md`."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.integration.broken import components, declarations, terms
from tests.integration.broken.world import Case, Result, execute

CASES = [*terms.CASES, *components.CASES, *declarations.CASES]

HEAD = """# When a plugin is wrong

What `pie` does with {count} broken plugins, written by `python -m tests.integration.broken.table`; a test runs every
one of them. What is printed is a line without a traceback (`--debug` shows it), and names the plugin where the fault is
known to be its own. *Kept* is the outcome of the run whose latent, pictures and report are kept; `-` where no run had
begun.

| kind | it ... | what is printed | exit status | kept |
|---|---|---|--:|---|
"""


class Captured:
    """Stands in for pytest's capsys."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    def readouterr(self) -> Captured.Both:
        both = Captured.Both(self.out.getvalue(), self.err.getvalue())
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        return both

    class Both:
        def __init__(self, out: str, err: str) -> None:
            self.out, self.err = out, err


def said(case: Case, result: Result) -> str:
    """The line that tells of the fault."""
    lines = result.err.splitlines() or [result.message]
    told = [line for line in lines if case.said in line] or [line for line in lines if "odd" in line] or lines
    text = re.sub(r" See \S*report\.html\.?", " See RUN/report.html.", told[-1] if told else "")
    text = re.sub(r"/\S*/(?=odd\.yaml|conf)", "", text)
    return text.replace("|", "\\|")


def row(case: Case, result: Result) -> str:
    return (
        f"| {case.kind} | {case.fault} | `{said(case, result)}` | {result.status} | {result.outcome or '-'} |"
    )


@contextlib.contextmanager
def surroundings() -> Iterator[tuple[Path, Captured]]:
    """A folder of its own on the path, and captured output; everything is as before afterwards."""
    path, modules, captured = list(sys.path), set(sys.modules), Captured()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, str(folder / "site"))
        handler = logging.StreamHandler(captured.err)
        handler.setFormatter(logging.Formatter("pie: warning: %(message)s"))
        try:
            with contextlib.redirect_stdout(captured.out), contextlib.redirect_stderr(captured.err):
                yield folder, captured
        finally:
            sys.path[:] = path
            for module in set(sys.modules) - modules:
                if str(getattr(sys.modules[module], "__file__", "")).startswith(name):
                    del sys.modules[module]


def install(
    site: Path, distribution: str, points: Mapping[str, str], files: Mapping[str, str], version: str
) -> None:
    """Write a distribution into a folder, as the tests' fixture does."""
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pie_framework]", *lines, ""]))


def run(case: Case) -> Result:
    with surroundings() as (folder, captured):
        site = folder / "site"

        def write(
            distribution: str, points: Mapping[str, str], files: Mapping[str, str], version: str = "1.2.3"
        ) -> Path:
            install(site, distribution, points, files, version)
            return site

        return execute(case, write, folder, captured)  # type: ignore[arg-type]


def main() -> None:
    rows = [row(case, run(case)) for case in CASES]
    print(HEAD.format(count=len(CASES)) + "\n".join(rows))


if __name__ == "__main__":
    main()
