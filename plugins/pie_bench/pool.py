"""Jobs in several processes of one thread each; what they finish is kept, however they end. Imports no torch."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event as ProcessEvent
from typing import TYPE_CHECKING, Any

from pie_bench.jobs import Job, Plan
from pie_framework.errors import RunError
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from pie_bench.engine import Engine, Tell

#: Told the number of a job, how much of it is done (0 to 1), and what is going on.
Told = Callable[[int, float, str], None]

_stop: ProcessEvent | threading.Event = threading.Event()
_messages: Any = None
_engine: Engine | None = None
_current = 0


def run(plan: Plan, registry: Registry, tell: Told) -> None:
    """Do the jobs that are missing, in this process when the plan has one worker.

    Raises:
        PieError: a job failed; the others that had begun were ended.
        KeyboardInterrupt: it was interrupted; what was finished is kept.
    """
    missing = plan.missing()
    if plan.bench.workers == 1 or len(missing) == 1:
        here(plan, registry, missing, tell)
    elif missing:
        _apart(plan, missing, tell)


def here(plan: Plan, registry: Registry, jobs: Sequence[tuple[int, Job]], tell: Told) -> None:
    """Do jobs in this process, with one thread."""
    number = 0

    def told(done: float, what: str) -> None:
        tell(number, done, what)

    with one_thread():
        engine = make_engine(plan, registry, told, lambda: False)
        for number, job in jobs:  # noqa: B007 (told reads it)
            _unless_stopped(engine, job)


def make_engine(plan: Plan, registry: Registry, tell: Tell, should_stop: Callable[[], bool]) -> Engine:
    """The engine of a plan, with the world it needs."""
    from pie_bench.engine import Engine
    from pie_bench.world import World

    world = World(plan.bench, plan.judge, registry)
    return Engine(world, plan.by_name, plan.folder, registry, tell, should_stop)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread: figures that do not depend on the machine's number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _unless_stopped(engine: Engine, job: Job) -> None:
    from pie_bench.engine import Stopped

    try:
        engine.run(job)
    except Stopped:
        raise KeyboardInterrupt from None


def _apart(plan: Plan, missing: Sequence[tuple[int, Job]], tell: Told) -> None:
    context = multiprocessing.get_context("spawn")
    stop, messages = context.Event(), context.Queue()
    workers = min(plan.bench.workers, len(missing))
    with ProcessPoolExecutor(workers, context, _begin, (plan, stop, messages)) as pool:
        futures = {pool.submit(_work, number, job): number for number, job in missing}
        try:
            _watch(futures, messages, tell)
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise RunError(
                    "a worker of the bench was ended from outside, perhaps for want of memory",
                    "What was finished is kept; go on with the same command, or with workers=1.",
                ) from error
            raise


def _watch(futures: dict[Future[None], int], messages: Any, tell: Told) -> None:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        while True:
            try:
                tell(*messages.get_nowait())
            except queue.Empty:
                break
        for future in done:
            future.result()
            tell(futures[future], 1.0, "")


def _begin(plan: Plan, stop: ProcessEvent, messages: Any) -> None:
    """A worker's start."""
    global _stop, _messages, _engine
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _stop, _messages = stop, messages
    _engine = make_engine(plan, discover(), _tell, _stop.is_set)


def _tell(done: float, what: str) -> None:
    _messages.put((_current, done, what))


def _work(number: int, job: Job) -> None:
    global _current
    assert _engine is not None
    _current = number
    _unless_stopped(_engine, job)
