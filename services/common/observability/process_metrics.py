"""Metrics of this process (memory, connections, objects), read at each scrape."""

from __future__ import annotations

import asyncio
import gc
import threading

from prometheus_client import Gauge

from services import VERSION

BUILD = Gauge("eloket_build_info", "Always 1; `version` is what runs", ["version"])
TASKS = Gauge("eloket_tasks", "Tasks of this process's event loop that have not ended")
TIMERS = Gauge("eloket_timers", "Timers of this process's event loop, and those that were cancelled but are still held")
THREADS = Gauge("eloket_threads", "Threads that run Python")
OBJECTS = Gauge("eloket_objects", "Objects made since the start that the garbage collector looks after")


def begin() -> None:
    """Everything that was loaded up to now stays for good: the garbage collector will not look at it again.

    A full collection takes 40 ms with it, in the midst of people's messages, and next to nothing without.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def tasks() -> int:
    """How many tasks the running loop has; 0 without one."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def timers() -> int:
    """How many timers there are, made since `begin`; uvloop keeps no list of them that could be read."""
    return sum(type(held).__name__ == "TimerHandle" for held in gc.get_objects())


BUILD.labels(VERSION).set(1)
TASKS.set_function(tasks)
TIMERS.set_function(timers)
THREADS.set_function(threading.active_count)
OBJECTS.set_function(lambda: len(gc.get_objects()))
