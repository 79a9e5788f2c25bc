"""Do the tests notice when the engine is wrong? Mutants of its modules, made by cosmic-ray, against the modules' tests.

    pip install cosmic-ray
    python benchmarks/mutants.py            # all modules
    python benchmarks/mutants.py solver     # one
    python benchmarks/mutants.py --sample 20

Prints the difference that each survivor makes, and a table of killed and survived mutants. They are made in a copy of
the tree; the tests run in forks of a process that has imported torch and pytest, and nothing of the project. Left out
are mutants that nothing can notice or that fall over by themselves: in annotations (never evaluated), arithmetic
replaced by bit operations, `==` and `is` by one another.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
U = "tests/unit"
SOLVING = [f"{U}/test_{name}.py" for name in ("state", "non_finite", "checkpoint", "batch", "solver")]

#: Module -> the tests that have to notice, quickest first.
MODULES: dict[str, list[str]] = {
    "pie_framework/optimisation/objective.py": [
        f"{U}/test_objective.py",
        f"{U}/test_state.py",
        f"{U}/test_non_finite.py",
    ],
    "pie_framework/optimisation/schedule.py": [f"{U}/test_schedule.py", f"{U}/test_state.py"],
    "pie_framework/optimisation/problem.py": SOLVING,
    "pie_framework/optimisation/solver.py": SOLVING,
    "pie_framework/optimisation/state.py": SOLVING,
    "pie_framework/optimisation/history.py": [f"{U}/test_history.py", f"{U}/test_state.py"],
    "pie_framework/optimisation/prior.py": [f"{U}/test_prior.py"],
    "pie_framework/optimisation/start.py": [f"{U}/test_embed.py", f"{U}/test_state.py"],
    "pie_framework/optimisation/watching.py": [f"{U}/test_watching.py"],
    "pie_framework/api/view.py": [f"{U}/test_view.py", f"{U}/test_state.py"],
    "pie_framework/api/networks.py": [f"{U}/test_view.py", f"{U}/test_state.py"],
    "pie_framework/api/analysis.py": [f"{U}/api", f"{U}/energies"],
    "plugins/pie_starts/search.py": [f"{U}/starts"],
    "plugins/pie_starts/simple.py": [f"{U}/starts"],
    "plugins/pie_energies/distances.py": [f"{U}/energies"],
    "plugins/pie_energies/edit.py": [f"{U}/energies"],
    "plugins/pie_energies/identity.py": [f"{U}/energies"],
    "plugins/pie_energies/invariance.py": [f"{U}/energies"],
    "plugins/pie_energies/recognition.py": [f"{U}/energies"],
    "plugins/pie_energies/synthesis.py": [f"{U}/energies"],
    "plugins/pie_stylerig/network.py": [f"{U}/stylerig/test_network.py"],
}
#: Seconds that the tests may take; a mutant that makes them run on counts as killed.
TIMEOUT = 60
CLIENT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect(sys.argv[1])
    answer = line.recv(1)
sys.exit(answer[0] if answer else 1)
"""
TRIVIAL = re.compile(
    r"ReplaceBinaryOperator_(?!Bit)\w+_(Bit\w+|.Shift|MatMul|Mod|FloorDiv)|Comparison\w+_(Is|IsNot|Is_Eq|IsNot_NotEq)$"
)


@dataclass(frozen=True)
class Result:
    """What became of the mutants of one module; `survivors` holds the difference that each makes."""

    module: str
    killed: int
    survivors: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="parts of module paths; all by default")
    parser.add_argument(
        "--sample", type=int, default=0, help="at most so many mutants of a module, drawn by seed 0"
    )
    parser.add_argument("--jobs", type=int, default=2, help="modules at a time")
    parser.add_argument("--serve", nargs=2, metavar=("SOCKET", "TESTS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.serve[0], options.serve[1].split())
    chosen = [m for m in MODULES if not options.modules or any(part in m for part in options.modules)]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda module: mutate(module, options.sample), chosen))
    print("\n| module | mutants | killed | survived |\n|---|---|---|---|")
    for result in results:
        survived = len(result.survivors)
        print(f"| `{result.module}` | {result.killed + survived} | {result.killed} | {survived} |")
    killed, survived = sum(r.killed for r in results), sum(len(r.survivors) for r in results)
    print(
        f"| all | {killed + survived} | {killed} | {survived} ({survived / max(killed + survived, 1):.1%}) |"
    )
    return 0


def mutate(module: str, sample: int) -> Result:
    """Make the mutants of a module in a copy of the tree and run its tests against each."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree, session = Path(folder) / "tree", Path(folder) / "session.sqlite"
        copy_tree(tree)
        client, line = Path(folder) / "client.py", Path(folder) / "line"
        client.write_text(CLIENT, encoding="utf-8")
        config = Path(folder) / "config.toml"
        command = [sys.executable, "-S", str(client), str(line)]
        config.write_text(
            f"[cosmic-ray]\nmodule-path = {json.dumps(module)}\ntimeout = {2.0 * TIMEOUT}\nexcluded-modules = []\n"
            f"test-command = {json.dumps(' '.join(command))}\n[cosmic-ray.distributor]\nname = 'local'\n",
            encoding="utf-8",
        )
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(line), " ".join(MODULES[module])],
            cwd=tree,
            env=ENVIRONMENT,
        )
        try:
            while not line.exists():
                if server.poll() is not None:
                    raise SystemExit("the process that runs the tests ended; see above")
                time.sleep(0.1)
            run(tree, *command)  # the tests hold without a mutant
            return survey(module, tree, session, config, sample)
        finally:
            server.kill()


def serve(path: str, tests: Sequence[str]) -> None:
    """Run the tests of the present folder in a fork for everyone who connects, and answer with pytest's exit status."""
    import hydra  # noqa: F401
    import hypothesis  # noqa: F401
    import pytest
    import scipy.stats  # noqa: F401
    import torch

    torch.testing.assert_close(torch.zeros(1), torch.zeros(1))  # imports much at its first call
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(path)
        line.listen()
        while True:
            caller, _ = line.accept()
            child = os.fork()
            if not child:
                signal.alarm(TIMEOUT)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os._exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]))
            _, status = os.waitpid(child, 0)
            caller.send(bytes([1 if status else 0]))
            caller.close()


def survey(module: str, tree: Path, session: Path, config: Path, sample: int) -> Result:
    """Let cosmic-ray make the mutants and have each tested."""
    cosmic_ray = [sys.executable, "-m", "cosmic_ray.cli"]
    run(tree, *cosmic_ray, "init", str(config), str(session))
    choose(session, tree / module, sample)
    run(tree, *cosmic_ray, "exec", str(config), str(session))
    with sqlite3.connect(session) as database:
        rows = database.execute("select test_outcome, diff from work_results").fetchall()
    counts = Counter(outcome for outcome, _ in rows)
    survivors = tuple(diff for outcome, diff in rows if outcome == "SURVIVED")
    print(f"{module}: {dict(counts)}", *survivors, sep="\n", file=sys.stderr, flush=True)
    return Result(module, len(rows) - len(survivors), survivors)


def copy_tree(to: Path) -> None:
    """The files that git knows, as they are."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to / name)


def choose(session: Path, source: Path, sample: int) -> None:
    """Drop the mutants that say nothing, and, where asked for, all but a sample."""
    spans = list(annotations(ast.parse(source.read_text(encoding="utf-8"))))
    with sqlite3.connect(session) as database:
        query = (
            "select job_id, operator_name, start_pos_row, start_pos_col from mutation_specs order by 3, 4, 2"
        )
        rows = database.execute(query).fetchall()
        kept = [
            job
            for job, operator, row, column in rows
            if not TRIVIAL.search(operator) and not any(a <= (row, column) < b for a, b in spans)
        ]
        if sample and len(kept) > sample:
            kept = random.Random(0).sample(kept, sample)
        dropped = [(job,) for job in {job for job, *_ in rows}.difference(kept)]
        for table in ("mutation_specs", "work_items"):
            database.executemany(f"delete from {table} where job_id = ?", dropped)


def annotations(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the annotations of a module begin and end, (row, column)."""
    for node in ast.walk(tree):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for expression in filter(None, found):
            yield (
                (expression.lineno, expression.col_offset),
                (expression.end_lineno, expression.end_col_offset),
            )


def run(tree: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
