"""`make demo`: what a log would have cost less, fifty agents with and without, three frameworks.

The first part replays logs by `toolops audit`. The second runs fifty agents against a slow, flaky,
priced HTTP service on this machine (`service.py`), first bare and then with ToolOps. Every number
is measured; the service's failures and the questions are the same in every run. The third asks one
tool from LangChain, LlamaIndex and CrewAI: it is the code of `notebooks/tour.ipynb`.

`python examples/demo.py --picture docs/images/demo.svg` runs the second part alone and draws its
table for the documentation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from service import PRICE, Manners

from toolops_plugins import CircuitBreaker, Retry, Timeout, ToolOps
from toolops_plugins.audit.text import table
from toolops_plugins.cli.main import main as toolops
from toolops_plugins.telemetry.formats import duration

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT / "notebooks" / "data" / "questions.jsonl"
TOUR = ROOT / "notebooks" / "tour.ipynb"
AGENTS = 50
PATIENCE = 5.0  # seconds after which the HTTP client gives up

Ask = Callable[[str], Awaitable[Any]]


@dataclass
class Run:
    """The measurements of one run.

    Args:
        seconds: From the first question to the last answer.
        waits: Seconds that each question took, as its agent saw it.
        errors: What agents got instead of answers, by kind.
        calls: Calls that the service counted.
        money: Money that it charged.
    """

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    money: float = 0.0

    def wait(self, percent: int) -> float:
        """Return the seconds that so many percent of the questions stayed within."""
        return statistics.quantiles(self.waits, n=100, method="inclusive")[percent - 1]


def questions() -> list[str]:
    """Return the questions of the log, in the order in which they were asked."""
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


@contextlib.contextmanager
def service(pace: float = 1.0) -> Iterator[str]:
    """Run the service in a process of its own, and give its URL."""
    program = [sys.executable, str(Path(__file__).with_name("service.py")), "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own script
        [*program, "--pace", str(pace), "--child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for above
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def crowd(ask: Ask, asked: Sequence[str], agents: int) -> Run:
    """Deal the questions out to agents, let all of them ask at once, and measure."""
    run = Run()

    async def agent(number: int) -> None:
        for question in asked[number::agents]:
            began = time.perf_counter()
            try:
                await ask(question)
            except Exception as error:  # noqa: BLE001 - whatever it is, the agent has no answer
                run.errors[_kind(error)] += 1
            run.waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(agent(number) for number in range(agents)))
    run.seconds = time.perf_counter() - began
    return run


def _kind(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__


async def compare(url: str, asked: Sequence[str], agents: int = AGENTS) -> tuple[Run, Run]:
    """Run the agents bare, then with ToolOps; the service starts anew in between.

    Args:
        url: Where the service is.
        asked: The questions.
        agents: How many agents. Default 50.
    """
    limits = httpx.Limits(max_connections=agents, max_keepalive_connections=agents)
    async with (
        # Without the environment's proxies: the service is on this machine.
        httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False) as client,
        ToolOps(namespace="demo") as ops,
    ):

        async def ask(question: str) -> Any:
            response = await client.get("/answer", params={"q": question})
            response.raise_for_status()
            return response.json()

        wrapped = ops.readonly(
            ask,
            ttl=300,
            retry=Retry(attempts=5),
            breaker=CircuitBreaker(),
            timeout=Timeout(attempt=2, total=30),
            coalesce=True,
        )
        runs = []
        for way in (ask, wrapped):
            (await client.post("/bill")).raise_for_status()
            run = await crowd(way, asked, agents)
            bill = (await client.get("/bill")).json()
            run.calls, run.money = bill["calls"], bill["money"]
            runs.append(run)
    return runs[0], runs[1]


def _show(console: Console, bare: Run, ours: Run) -> None:
    made = table("", "without", "with ToolOps")
    rows: list[tuple[str, Callable[[Run], str]]] = [
        ("calls made", lambda run: f"{run.calls:,}"),
        ("money", lambda run: f"{run.money:.2f}"),
        ("p50", lambda run: duration(run.wait(50))),
        ("p95", lambda run: duration(run.wait(95))),
        ("errors seen by agents", lambda run: f"{run.errors.total():,}"),
    ]
    for name, text in rows:
        made.add_row(name, text(bare), text(ours))
    console.print(made)


def draw(file: Path, bare: Run, ours: Run) -> None:
    """Write the table of the second part as an SVG that loads no fonts from other hosts."""
    console = Console(record=True, width=50, file=io.StringIO())
    _show(console, bare, ours)
    console.print()
    picture = console.export_svg(title=f"{AGENTS} agents, one flaky service", unique_id="demo")
    fonts = r"@font-face \{.*?\}\s*"
    file.write_text(re.sub(fonts, "", picture, flags=re.DOTALL), encoding="utf-8")


def _audit(console: Console, file: Path, *options: str) -> None:
    shown = os.path.relpath(file)
    console.print(f"[bold cyan]$ toolops audit {escape(shown)} {' '.join(options)}[/]\n")
    if code := toolops(["audit", str(file), "--no-progress", *options]):
        sys.exit(code)


def audits(console: Console) -> None:
    """Replay the real questions, where they are, and the log of the notebooks."""
    console.rule("[bold]1. What would a cache have saved?")
    folder = Path(os.environ.get("TOOLOPS_DATA") or ROOT.parent / "shared" / "data")
    real = folder / "banking77.jsonl"
    if real.is_file():
        console.print(
            "\nReal questions of bank customers (BANKING77), each typed by a person. People hardly "
            "ever use the same words twice, so an exact cache has next to nothing to give here: "
            "the same meaning in other words is the work of a semantic cache.\n"
        )
        _audit(console, real, "--top", "3")
        console.print(
            "\nAgents are different: they repeat themselves, word by word and in bursts.\n"
        )
    else:
        console.print("\nA log of agents at work.\n")
    _audit(console, QUESTIONS, "--top", "5")


def live(console: Console) -> tuple[Run, Run]:
    """Run the agents, show the results, and return what was measured without and with ToolOps."""
    asked = questions()
    console.print()
    console.rule(f"[bold]2. {AGENTS} agents, live")
    console.print(
        f"\nThe {len(asked)} questions of that log, dealt out to {AGENTS} agents who all ask at "
        f"once, and one HTTP service: slow, at {PRICE} a call. {Manners.busy:.0%} of calls get a "
        f"503, {Manners.reset:.0%} a connection reset, and {Manners.hang:.0%} hang.\n"
    )
    with service() as url, console.status("the agents are at work ..."):
        bare, ours = asyncio.run(compare(url, asked))
    for name, run in (("without", bare), ("with ToolOps", ours)):
        errors = ", ".join(f"{count} {kind}" for kind, count in run.errors.most_common())
        console.print(f"{name}: {duration(run.seconds)}; errors: {errors or 'none'}")
    console.print()
    _show(console, bare, ours)
    return bare, ours


def tour(console: Console) -> None:
    """Run the code of the notebook in a process of its own, and show what it says."""
    console.print()
    console.rule("[bold]3. One tool, three frameworks, one call")
    console.print()
    cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    with console.status("LangChain, LlamaIndex and CrewAI are being imported ..."):
        done = subprocess.run(  # noqa: S603 - our own notebook
            [sys.executable, "-W", "ignore", "-c", "\n\n".join(code)],
            env={**os.environ, "MPLBACKEND": "Agg"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"the tour ended with an error:\n{done.stderr}")
    console.print(done.stdout.rstrip(), markup=False, soft_wrap=True)


def main() -> None:
    """Run all parts, or draw the second."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--picture", type=Path, help="run the second part, and draw it as SVG")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.picture:
        draw(options.picture, *live(console))
        return
    audits(console)
    live(console)
    tour(console)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
