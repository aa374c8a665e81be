"""LangChain tools of every kind, which record their runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    convert_runnable_to_tool,
    create_retriever_tool,
    tool,
)
from pydantic import BaseModel, Field

__all__ = ["KINDS", "Kind", "Place"]


@dataclass
class Kind:
    """A kind of tool.

    Args:
        name: Its name.
        make: Makes a tool that appends to the list it is given.
        args: Arguments that it takes.
        sync: Whether it can be invoked synchronously.
        kept: Whether its results are kept when it is wrapped and nothing more is said.
    """

    name: str
    make: Callable[[list[Any]], BaseTool]
    args: dict[str, Any] = field(default_factory=lambda: {"city": "Oslo", "days": 2})
    sync: bool = True
    kept: bool = True

    def __repr__(self) -> str:
        return self.name


class Weather(BaseModel):
    """A place and a number of days."""

    city: str = Field(description="The city.")
    days: int = Field(default=3, description="How many days.")


class Place(BaseModel):
    """A place on the map."""

    city: str
    codes: list[int] = []


def _text(city: Any, days: Any = 3) -> str:
    return f"{days} days of sun in {city}"


def function(runs: list[Any]) -> BaseTool:
    @tool
    def forecast(city: str, days: int = 3) -> str:
        """Tell the weather."""
        runs.append((city, days))
        return _text(city, days)

    return forecast


def coroutine(runs: list[Any]) -> BaseTool:
    @tool(args_schema=Weather)
    async def forecast(city: str, days: int = 3) -> str:
        """Tell the weather."""
        runs.append((city, days))
        return _text(city, days)

    return forecast


def both(runs: list[Any]) -> BaseTool:
    def forecast(city: str, days: int = 3) -> list[dict[str, Any]]:
        runs.append((city, days))
        return [{"type": "text", "text": _text(city, days)}]

    async def aforecast(city: str, days: int = 3) -> list[dict[str, Any]]:
        return forecast(city, days)

    return StructuredTool.from_function(
        forecast, aforecast, description="Tell the weather.", tags=["t"], metadata={"m": 1}
    )


def single(runs: list[Any]) -> BaseTool:
    def forecast(city: str) -> str:
        runs.append(city)
        return _text(city)

    return Tool("forecast", forecast, "Tell the weather.")


def single_coroutine(runs: list[Any]) -> BaseTool:
    async def forecast(city: str) -> str:
        runs.append(city)
        return _text(city)

    return Tool("forecast", None, "Tell the weather.", coroutine=forecast)


class Sync(BaseTool):
    name: str = "forecast"
    description: str = "Tell the weather."
    runs: Any = Field(exclude=True)  # Any, since pydantic copies lists
    unit: str = "C"

    def _run(self, city: str, days: int = 3, run_manager: Any = None) -> str:
        self.runs.append((city, days))
        return _text(city, days) + self.unit + str(run_manager is not None)


class Both(Sync):
    args_schema: type[BaseModel] = Weather

    async def _arun(self, city: str, days: int = 3, run_manager: Any = None) -> str:
        return super()._run(city, days, run_manager)


class Delegating(Sync):
    """The commonest way to write a tool: one method makes use of the other."""

    async def _arun(self, city: str, days: int = 3, run_manager: Any = None) -> str:
        return self._run(city, days, run_manager)


class AsyncOnly(Sync):
    def _run(self, city: str, days: int = 3, run_manager: Any = None) -> str:
        raise NotImplementedError("only asynchronously")

    async def _arun(self, city: str, days: int = 3) -> str:
        self.runs.append((city, days))
        return _text(city, days)


def json_schema(runs: list[Any]) -> BaseTool:
    def forecast(**arguments: Any) -> dict[str, Any]:
        runs.append(arguments)
        return {"text": _text(**arguments), "none": None}

    schema = {
        "title": "forecast",
        "description": "Tell the weather.",
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    return StructuredTool.from_function(
        forecast, name="forecast", description="Tell the weather.", args_schema=schema
    )


def artifact(runs: list[Any]) -> BaseTool:
    @tool(response_format="content_and_artifact")
    def forecast(city: str, days: int = 3) -> tuple[str, dict[str, Any]]:
        """Tell the weather."""
        runs.append((city, days))
        return _text(city, days), {"days": (1, days), "none": None}

    return forecast


def async_artifact(runs: list[Any]) -> BaseTool:
    @tool(response_format="content_and_artifact")
    async def forecast(city: str, days: int = 3) -> tuple[str, list[Any]]:
        """Tell the weather."""
        runs.append((city, days))
        return _text(city, days), [b"bytes", {city}]

    return forecast


class Retriever(BaseRetriever):
    runs: Any

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.runs.append(query)
        return [
            Document(page_content=f"{query} {n}", metadata={"n": n}, id=str(n)) for n in range(2)
        ]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self._get_relevant_documents(query, run_manager=run_manager)


def retriever(runs: list[Any]) -> BaseTool:
    return create_retriever_tool(Retriever(runs=runs), "search", "Search the documents.")


def documents(runs: list[Any]) -> BaseTool:
    return create_retriever_tool(
        Retriever(runs=runs),
        "search",
        "Search the documents.",
        response_format="content_and_artifact",
    )


def with_config(runs: list[Any]) -> BaseTool:
    @tool
    def forecast(city: str, config: RunnableConfig) -> str:
        """Tell the weather."""
        runs.append(city)
        return _text(city, (config.get("configurable") or {}).get("user", "no"))

    return forecast


def with_injected(runs: list[Any]) -> BaseTool:
    @tool
    def forecast(city: str, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
        """Tell the weather."""
        runs.append(city)
        return _text(city, user)

    return forecast


def with_call_id(runs: list[Any]) -> BaseTool:
    @tool
    def forecast(city: str, call: Annotated[str, InjectedToolCallId] = "none") -> str:
        """Tell the weather."""
        runs.append(city)
        return _text(city, call)

    return forecast


def direct(runs: list[Any]) -> BaseTool:
    @tool(return_direct=True)
    def forecast(city: str, days: int = 3) -> str:
        """Tell the weather."""
        runs.append((city, days))
        return _text(city, days)

    return forecast


def failing(runs: list[Any]) -> BaseTool:
    def forecast(city: str, days: int = 3) -> str:
        runs.append((city, days))
        raise ToolException(f"no weather in {city}")

    return StructuredTool.from_function(
        forecast,
        description="Tell the weather.",
        handle_tool_error=lambda error: f"sorry: {error}",
        handle_validation_error="write it otherwise",
    )


def nested(runs: list[Any]) -> BaseTool:
    @tool
    async def forecast(place: Place, days: int = 3) -> Place:
        """Tell the weather."""
        runs.append(place)
        return place

    return forecast


def empty(runs: list[Any]) -> BaseTool:
    @tool
    def forecast() -> str | None:
        """Tell the weather."""
        runs.append(None)

    return forecast


def runnable(runs: list[Any]) -> BaseTool:
    def forecast(given: dict[str, Any]) -> str:
        runs.append(given)
        return _text(**given)

    return convert_runnable_to_tool(
        RunnableLambda(forecast), Weather, name="forecast", description="Tell the weather."
    )


_CITY = {"city": "Oslo"}
_QUERY = {"query": "fjords"}

KINDS = [
    Kind("function", function),
    Kind("coroutine", coroutine, sync=False),
    Kind("both", both),
    Kind("single", single, _CITY),
    Kind("single_coroutine", single_coroutine, _CITY, sync=False),
    Kind("sync_class", lambda runs: Sync(runs=runs)),
    Kind("both_class", lambda runs: Both(runs=runs)),
    Kind("delegating_class", lambda runs: Delegating(runs=runs)),
    Kind("async_class", lambda runs: AsyncOnly(runs=runs), sync=False),
    Kind("json_schema", json_schema),
    Kind("artifact", artifact),
    Kind("async_artifact", async_artifact, sync=False),
    Kind("retriever", retriever, _QUERY),
    Kind("documents", documents, _QUERY),
    Kind("with_config", with_config, _CITY, kept=False),
    Kind("with_injected", with_injected, _CITY, kept=False),
    Kind("with_call_id", with_call_id, _CITY, kept=False),
    Kind("direct", direct),
    Kind("failing", failing, kept=False),
    Kind("nested", nested, {"place": {"city": "Oslo", "codes": ["1", 2]}}, sync=False),
    Kind("empty", empty, {}),
    Kind("runnable", runnable, kept=False),
]
