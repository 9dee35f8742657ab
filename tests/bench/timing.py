"""What a benchmark measures with: what a block took, and steps in processes of their own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


@contextmanager
def timed(label: str) -> Iterator[None]:
    """Print what the block took: wall and CPU seconds (user and system), and the process's peak memory so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{label:<52} {wall:7.2f} s wall {cpu:7.2f} s CPU {peak:7.0f} MiB peak", flush=True)


def apart(step: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Run a step in a process of its own, for a peak memory of its own, and return what it returns.

    On Linux a process's peak begins at its parent's: who measures one step apart must run every large one apart.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(step, *given, **named).result()
