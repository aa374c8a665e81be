"""The magics in a real kernel: what a cell called stands under its output."""

from __future__ import annotations

import re

import pytest
from kernels import execute_cells

COLOURS = re.compile(r"\x1b\[[\d;]*m")
CELLS = {
    "load": """
        %load_ext toolops_plugins.notebook
        import asyncio, threading
        from toolops_plugins import ToolOps
        ops, other = ToolOps("shop"), ToolOps("stock")

        @ops.readonly(name="quote", price=0.5)
        def quote(ticker):
            return ticker.lower()

        @other.tool(name="count")
        async def count(number):
            return number + 1
    """,
    "sync": """
        %%toolops
        quote("ACME")
        quote("ACME")
    """,
    "unmeasured": 'quote("ACME")',
    "asynchronous": """
        %%toolops
        await asyncio.gather(count(1), count(2))
    """,
    "error": """
        %%toolops
        quote("ACME")
        raise ValueError("as it happens")
    """,
    "interrupted": """
        %%toolops
        quote("ACME")
        raise KeyboardInterrupt
    """,
    "syntax": """
        %%toolops
        quote("ACME"
    """,
    "none": """
        %%toolops
        1 + 1
    """,
    "two": """
        %%toolops
        quote("ACME")
        await count(3)
    """,
    "chosen": """
        %%toolops stock
        quote("ACME")
        await count(3)
    """,
    "variable": """
        %%toolops other
        quote("ACME")
        await count(3)
    """,
    "unknown": """
        %%toolops shoop
        quote("ACME")
    """,
    "threads": """
        %%toolops
        workers = [threading.Thread(target=quote, args=("ACME",)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    """,
    "above": """
        %%toolops
        %%time
        quote("ACME")
    """,
    "below": """
        %%time
        %%toolops
        quote("ACME")
    """,
    "captured": """
        %%capture shown
        %%toolops
        quote("ACME")
    """,
    "inner": """
        %%toolops
        _ = get_ipython().run_cell("%%toolops\\nquote('ACME')")
    """,
    "future": """
        %%toolops
        from __future__ import annotations
        quote("ACME")
    """,
    "dropped": """
        %%toolops
        short = ToolOps("short")
        short.call(len, "ab", name="len")
        del ops
    """,
    "line": "%toolops",
    "line of one": "%toolops stock",
    "line unknown": "%toolops shoop",
    "line option": "%toolops --offf",
    "on": "%toolops --on",
    "every": 'quote("ACME")',
    "every, none": "1 + 1",
    "off": "%toolops --off",
    "not every": 'quote("ACME")',
    "called": "get_ipython().run_cell_magic('toolops', '', 'quote(chr(65))')",
    "text": "print(get_ipython().run_line_magic('toolops', 'stock'))",
    "reload": "%reload_ext toolops_plugins.notebook",
    "after reload": """
        %%toolops
        quote("ACME")
    """,
    "unload": "%unload_ext toolops_plugins.notebook",
    "after unload": """
        %%toolops
        quote("ACME")
    """,
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of all cells by name, executed in one kernel."""
    notebook = execute_cells(CELLS.values(), tmp_path_factory.mktemp("kernel"))
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


def tables(outputs):
    """Return the tables among outputs as text."""
    shown = [output.data for output in outputs if "data" in output]
    return [data["text/plain"] for data in shown if "toolops-stats" in data.get("text/html", "")]


def rows(outputs):
    """Return each tool with its number of calls, from the only table's first part."""
    (table,) = tables(outputs)
    found = re.findall(r"^(\w+) +(\d+) +[\d.%-]+", table, re.MULTILINE)
    return {name: int(calls) for name, calls in found if name != "total"}


def said(outputs, kind="stderr"):
    return "".join(output.text for output in outputs if output.get("name") == kind)


def errors(outputs):
    return [output.ename for output in outputs if output.output_type == "error"]


def test_a_cell_shows_what_it_called_below_its_result(outputs):
    result, table = outputs["sync"]
    assert result.data["text/plain"] == "'acme'"
    assert rows([table]) == {"quote": 2}
    text = table.data["text/plain"]
    assert text.startswith("this cell, ")
    assert text.splitlines()[1].split("  ")[0] == "tool"
    assert "50.0%" in text
    assert "<caption>this cell, " in table.data["text/html"]
    assert not tables(outputs["unmeasured"])


def test_a_cell_that_awaits_is_measured(outputs):
    assert rows(outputs["asynchronous"]) == {"count": 2}
    assert outputs["asynchronous"][0].data["text/plain"] == "[2, 3]"


def test_a_cell_that_raises_is_measured(outputs):
    error, table = outputs["error"]
    assert error.ename == "ValueError"
    traceback = COLOURS.sub("", "".join(error.traceback))
    assert re.search(r"-+> 3 raise ValueError", traceback)  # the third line of the cell
    assert rows([table]) == {"quote": 1}
    assert rows(outputs["interrupted"]) == {"quote": 1}


def test_a_cell_with_a_syntax_error_only_has_that(outputs):
    assert errors(outputs["syntax"]) == ["SyntaxError"]
    assert not tables(outputs["syntax"])


def test_a_cell_without_calls_says_so(outputs):
    shown = outputs["none"][-1].data
    assert re.fullmatch(r"this cell, .+: no tool was called\.", shown["text/plain"])


def test_each_runtime_has_a_table(outputs):
    (shown,) = [output.data for output in outputs["two"] if "text/html" in output.get("data", {})]
    html = shown["text/html"]
    assert html.count("<table") == 2
    assert html.index("runtime &#x27;shop&#x27;, this") < html.index("runtime &#x27;stock&#x27;, t")
    assert shown["text/plain"].count("runtime '") == 2


@pytest.mark.parametrize("cell", ["chosen", "variable"])
def test_a_runtime_is_chosen_by_namespace_or_variable(outputs, cell):
    assert rows(outputs[cell]) == {"count": 1}


def test_an_unknown_runtime_is_named_and_the_cell_runs(outputs):
    assert outputs["unknown"][0].data["text/plain"] == "'acme'" or said(outputs["unknown"])
    line = "%%toolops: no runtime or variable is called 'shoop'; runtimes: 'shop', 'stock'\n"
    assert said(outputs["unknown"]) == line
    assert not errors(outputs["unknown"])
    assert not tables(outputs["unknown"])


def test_calls_of_threads_are_counted(outputs):
    assert rows(outputs["threads"]) == {"quote": 4}


@pytest.mark.parametrize("cell", ["above", "below"])
def test_other_cell_magics_stand_beside_it(outputs, cell):
    assert rows(outputs[cell]) == {"quote": 1}
    assert "Wall time" in said(outputs[cell], "stdout")


def test_cells_in_cells_are_shown_once(outputs):
    assert rows(outputs["inner"]) == {"quote": 1}
    assert rows(outputs["captured"]) == {"quote": 1}


def test_a_future_import_may_follow(outputs):
    assert not errors(outputs["future"])
    assert rows(outputs["future"]) == {"quote": 1}


def test_runtimes_of_the_cell_count_too(outputs):
    assert rows(outputs["dropped"]) == {"len": 1}


def test_the_line_magic_shows_the_session(outputs):
    (shown,) = outputs["line"]
    assert shown.output_type == "execute_result"
    text = shown.data["text/plain"]
    assert [f"runtime '{name}'" in text for name in ("shop", "short", "stock")] == [True] * 3
    assert rows(outputs["line of one"])["count"] > 4
    assert said(outputs["text"], "stdout").startswith("tool ")


def test_wrong_words_of_the_line_magic_get_a_line(outputs):
    assert "no runtime or variable is called 'shoop'" in said(outputs["line unknown"])
    assert "has no option --offf" in said(outputs["line option"])


def test_the_table_can_be_had_under_every_cell_with_calls(outputs):
    assert rows(outputs["every"]) == {"quote": 1}
    assert not tables(outputs["every, none"])
    assert not tables(outputs["not every"])


def test_code_may_call_the_cell_magic(outputs):
    assert rows(outputs["called"]) == {"quote": 1}


def test_the_extension_can_be_loaded_again_and_unloaded(outputs):
    assert rows(outputs["after reload"]) == {"quote": 1}
    assert not tables(outputs["after unload"])
    assert "toolops" in said(outputs["after unload"])
