"""A program that interrupts threads at random points of their calls.

KeyboardInterrupts come as a signal or a debugger brings them, wherever the interpreter looks for
them, which is after calls and on loops. They also strike finalizers and pytest's own hooks, so this
runs apart; ``coalesce/test_interruptions.py`` starts it. It ends with 1 if a key hangs.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from toolops_plugins import Cache, ToolOps
from toolops_plugins.coalesce import loop_liveness

LONG = 20.0


def bombard(call: Callable[[int], Any], threads: int, rounds: int, seed: int) -> int:
    """Make calls in threads that are interrupted at random; return how often one was.

    Args:
        call: Takes a number; what threads do at once for the same numbers.
        threads: How many do it.
        rounds: Numbers that each thread goes through.
        seed: Of whom is interrupted when.
    """

    def run() -> None:
        numbers = iter(range(rounds))
        while True:
            with suppress(KeyboardInterrupt):
                for number in numbers:
                    call(number)
                break

    victims = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    draw = random.Random(seed)
    struck = 0
    for victim in victims:
        victim.start()
    while alive := [victim for victim in victims if victim.is_alive()]:
        time.sleep(draw.random() * 1e-3)
        struck += ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(draw.choice(alive).ident or 0), ctypes.py_object(KeyboardInterrupt)
        )
    return struck


def callers(seed: int) -> int:
    """Interrupt plain callers; every key can be called afterwards."""
    ops = ToolOps("callers")

    @ops.tool(coalesce=True)
    def work(n: int) -> int:
        for _ in range(50):
            pass
        return n

    struck = bombard(work, 4, 1_500, seed)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(1_500), timeout=LONG)) == list(range(1_500))
    return struck


def loops(seed: int) -> int:
    """Interrupt callers on loops of their own; every key can be called afterwards."""
    ops = ToolOps("loops")

    @ops.tool(name="work", coalesce=True)
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @ops.tool(name="work", coalesce=True)
    def sync(n: int) -> int:
        return n

    def run(n: int) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(work(n))
        loop.close()

    struck = bombard(run, 3, 300, seed)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sync, range(300), timeout=LONG)) == list(range(300))
    return struck


def readers(seed: int) -> int:
    """Interrupt readers of streams; no reader takes a part for the whole, then or afterwards."""
    ops = ToolOps("readers")
    wrong = []

    @ops.tool(cache=Cache(ttl=60))
    def numbers(n: int) -> Iterator[int]:
        yield from range(3)

    def read(n: int) -> None:
        try:
            found = list(numbers(n))
        except Exception as error:
            if "broke off" in str(error):  # of another reader's interrupt
                return
            raise
        if found != [0, 1, 2]:
            wrong.append(found)

    struck = bombard(read, 3, 600, seed)
    assert not wrong
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda n: list(numbers(n)), range(600), timeout=LONG))
    assert again == [[0, 1, 2]] * 600
    return struck


def main(seed: int) -> None:
    loop_liveness.PATIENCE = 0.005
    warnings.simplefilter("ignore")  # loops and coroutines are left as they are, by design
    # logging.disable() would still take logging's lock, which an interrupt may leave held for ever.
    logging.Logger.isEnabledFor = lambda *_: False  # type: ignore[method-assign]  # as it says
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    sys.setswitchinterval(1e-5)
    for scene in (callers, loops, readers):
        sys.stdout.write(f"{scene.__name__}: {scene(seed)} interrupts\n")


if __name__ == "__main__":
    faulthandler.dump_traceback_later(100, exit=True)
    main(int(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # whatever was left in the middle does not matter here
