"""One of several processes that share what they know, for tests of invalidation.

Its only argument is JSON with ``name``, ``namespace``, ``redis`` (a URL or null), ``memory``, and
``path`` or ``url`` of the semantic index. It takes a command a line, as a list in JSON, and prints
its result as JSON. Each run of its tool has another answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import threading
import time
from typing import Any

from toolops_plugins import Memory, Redis, Semantic, SemanticCache, TierError, ToolOps

options = json.loads(sys.argv[1])
tiers: list[Any] = [Memory()] if options.get("memory", True) else []
if options.get("redis"):
    tiers.append(Redis(options["redis"], socket_timeout=10, connect_timeout=10))
ops = ToolOps(
    options["namespace"],
    tiers,
    semantic=SemanticCache(options.get("path"), url=options.get("url"), timeout=20),
    secret=options.get("secret"),
)
loop = asyncio.new_event_loop()
faces = itertools.cycle([False, True])
runs: list[str] = []
held = threading.Event()
begun = threading.Event()
held.set()


def answer(question: str) -> str:
    runs.append(question)
    found = f"{options['name']} {os.getpid()} {len(runs)}"
    begun.set()
    held.wait()
    return found


@ops.readonly(
    name="ask",
    semantic=Semantic(on="question", threshold=0.8),
    tags=["asked:{question}"],
    retry=None,
)
def ask(question: str) -> str:
    return answer(question)


@ops.readonly(
    name="ask",
    semantic=Semantic(on="question", threshold=0.8),
    tags=["asked:{question}"],
    retry=None,
)
async def aask(question: str) -> str:
    return answer(question)


def begin(question: str) -> str:
    """Begin a call that does not end before ``finish``, and return its later answer."""
    held.clear()
    begun.clear()
    threading.Thread(target=ask, args=(question,), daemon=True).start()
    begun.wait()
    return f"{options['name']} {os.getpid()} {len(runs)}"


def finish() -> None:
    held.set()


def run(name: str, *args: Any) -> Any:
    match name:
        case "ask":
            is_async = next(faces)
            return loop.run_until_complete(aask(*args)) if is_async else ask(*args)
        case "key":
            return ask.invalidate(*args)
        case "akey":
            return loop.run_until_complete(aask.ainvalidate(*args))
        case "tag":
            return ops.invalidate([*args])
        case "atag":
            return loop.run_until_complete(ops.ainvalidate([*args]))
        case "clear":
            return ops.clear()
        case "aclear":
            return loop.run_until_complete(ops.aclear())
        case "flush":
            return ops.semantic.flush()
        case "begin":
            return begin(*args)
        case "finish":
            return finish()
        case "deafen":
            return ops._shared.bus.close()
        case _:
            raise ValueError(name)


def tell(result: Any) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def insist(name: str, *args: Any) -> Any:
    """Run a command again while a busy server of Chroma refuses it, as a program would."""
    while True:
        try:
            return run(name, *args)
        except TierError:
            time.sleep(0.1)


tell("ready")
for line in sys.stdin:
    tell(insist(*json.loads(line)))
loop.run_until_complete(ops.aclose())
loop.close()
