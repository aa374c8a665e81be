"""One tool in three frameworks is one: real agents, one runtime, one Redis, one namespace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest
from callers import LONG, Latch, start
from crew_agents import calling, crew_of
from crewai import Agent
from crewai.tools import tool as crewai_tool
from langchain.agents import create_agent
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI

from crewai_toolops import wrap_tool as wrap_crewai_tool
from langchain_toolops import wrap_tool as wrap_langchain_tool
from llama_index.callbacks.toolops import guard_tool
from toolops_plugins import Cache, Memory, Policy, Redis, ToolOps

pytestmark = [
    # LlamaIndex looks at all attributes of an agent, those too that pydantic has deprecated.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]
QUESTION = "Where is order 4711?"
POLICY = Policy(cache=Cache(ttl=600))
FRAMEWORKS = ("langchain", "llama_index", "crewai")


class Service:
    """The service behind the tool."""

    def __init__(self):
        self.calls = []
        self.gate = None
        self.began = Latch()

    def find_order(self, number: int, *, country: str = "de") -> str:
        """Tell where an order is."""
        self.calls.append((number, country))
        self.began.open()
        if self.gate is not None:
            self.gate.wait()
        return f"order {number} is in Leipzig"


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def redis_ops(valkey, namespace):
    with ToolOps(namespace, tiers=[Memory(), Redis(valkey.url, ttl=600)]) as runtime:
        yield runtime


@pytest.fixture
def agents(openai_server, llm, service, redis_ops):
    """Functions that ask the agent of each framework, by name."""
    openai_server.reply = calling([("find_order", {"number": 4711})])

    def find_order(number: int, country: str = "de") -> str:
        """Tell where an order is."""
        return service.find_order(number, country=country)

    there = {"base_url": openai_server.url, "api_key": "sk-test", "max_retries": 0}
    chain = create_agent(
        ChatOpenAI(model="gpt-4o-mini", **there),
        [wrap_langchain_tool(langchain_tool(find_order), POLICY, ops=redis_ops)],
    )
    index = FunctionAgent(
        tools=[guard_tool(FunctionTool.from_defaults(find_order), POLICY, ops=redis_ops)],
        llm=OpenAI("gpt-4o-mini", api_key="sk-test", api_base=openai_server.url, max_retries=0),
    )
    tools = [wrap_crewai_tool(crewai_tool(find_order), POLICY, ops=redis_ops)]

    def langchain():
        return chain.invoke({"messages": [("user", QUESTION)]})["messages"][-1].text

    def llama_index():
        async def run():
            return str(await index.run(QUESTION))

        return asyncio.run(run())

    def crewai():
        clerk = Agent(role="clerk", goal="help", backstory="is kind", llm=llm(), tools=tools)
        return crew_of(clerk).kickoff().raw

    return {"langchain": langchain, "llama_index": llama_index, "crewai": crewai}


@pytest.mark.parametrize("first", FRAMEWORKS)
def test_three_frameworks_make_one_call(agents, service, redis_ops, first):
    order = (first, *(name for name in FRAMEWORKS if name != first))
    answers = [agents[name]() for name in order]
    assert answers == ["order 4711 is in Leipzig"] * 3
    assert service.calls == [(4711, "de")]
    (row,) = [each for each in redis_ops.stats().tools if each.name == "find_order"]
    assert (row.calls, row.misses) == (3, 1)


def test_three_frameworks_at_the_same_time_join_one_call(agents, service, redis_ops):
    service.gate = Latch()
    callers = [start(agents["crewai"])]
    service.began.wait()
    callers += [start(agents["langchain"]), start(agents["llama_index"])]
    service.gate.open()
    assert [each.result(LONG) for each in callers] == ["order 4711 is in Leipzig"] * 3
    assert service.calls == [(4711, "de")]


def test_another_process_finds_the_result_in_redis(agents, valkey, namespace):
    """The key of each framework is the same in one process, as the tests above have shown."""
    agents["crewai"]()
    program = f"""
        from langchain_core.tools import tool
        from langchain_toolops import wrap_tool
        from toolops_plugins import Cache, Memory, Policy, Redis, ToolOps

        def find_order(number: int, country: str = "de") -> str:
            "Tell where an order is."
            raise SystemExit("the service was called")

        policy = Policy(cache=Cache(ttl=600))
        with ToolOps({namespace!r}, tiers=[Memory(), Redis({valkey.url!r}, ttl=600)]) as ops:
            print(wrap_tool(tool(find_order), policy, ops=ops).invoke({{"number": 4711}}))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "order 4711 is in Leipzig"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_another_argument_is_another_call(agents, openai_server, service, name):
    agents[name]()
    openai_server.reply = calling([("find_order", {"number": 4711, "country": "at"})])
    agents[name]()
    assert service.calls == [(4711, "de"), (4711, "at")]
