"""LangChain's cache for models, on the tiers and the semantic cache of a runtime."""

from __future__ import annotations

import json
from typing import Any, Literal

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.outputs import ChatGeneration

from langchain_toolops._codec_types import Generations, teach
from langchain_toolops._event_dedup import note_generations
from langchain_toolops._event_runs import current_agent
from langchain_toolops._llm_answers import (
    are_whole,
    content_of,
    mark_generation,
    may_be_half,
    tell_end,
)
from langchain_toolops._llm_conversation import question_in_text
from langchain_toolops._llm_schema import accepts_generations
from langchain_toolops._stored_answers import GenerationsView, dump, load
from langchain_toolops.prices import read_result
from toolops_plugins import (
    Cache,
    Explanation,
    Policy,
    Semantic,
    TierError,
    ToolOps,
)
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.forgetting import aforget_calls, forget_calls
from toolops_plugins.adapters.model_costs import ModelCounter
from toolops_plugins.adapters.model_guard import without_scope
from toolops_plugins.adapters.notices import report_unreached_tier
from toolops_plugins.adapters.options import keeps_usage, policy_of, runtime_of
from toolops_plugins.adapters.policy_views import compare_by, map_results
from toolops_plugins.adapters.signals import adapt_policy
from toolops_plugins.errors import NotCanonicalError

__all__ = ["ToolOpsCache"]

LOGGER = "langchain_toolops"

_ADDRESS = " at 0x"
_CLASS = "<class '"
_SCHEMA = "ls_structured_output_format"
"""Under this name LangChain writes down the fields of a response schema, where it does."""
_BY_RESPONSE = '"use_previous_response_id": true'
_MEMO = 512
_MEMO_TEXT = 4_096
"""Prompts whose parts are remembered, and their length with the model's: half of a hit's work."""

_PAST = {
    "address_in_model": "LangChain describes the model by an address in memory, which is no key.",
    "schema_version_missing": "LangChain tells of a response schema only its class: give "
    "ToolOpsCache(schema_version=...), or use guard_llm().",
}
"""Why calls go past the cache."""

_KeyParts = tuple[str, str, str, str]
"""Question, scope, model and version of the schemas."""


class ToolOpsCache(BaseCache):
    """A cache for ``set_llm_cache`` or a model's ``cache=``: exact tiers, then by meaning.

    A prompt is looked up exactly, without the ids of messages and tool calls and those that
    LangChain gives content blocks; then, if the runtime has a semantic cache, by the meaning of the
    last human text, among prompts that agree in all else: model, parameters, tools, response
    format, system prompt and earlier turns.

    LangChain looks up and updates in two separate steps, so nothing is coalesced here, and neither
    ``stream`` nor ``astream`` of a model reads or writes its cache. For agents use
    :class:`~langchain_toolops.ToolOpsMiddleware`, which does not have these limits.

    Of plain models (``BaseLLM``, such as ``langchain_openai.OpenAI``) LangChain tells a cache the
    fields and ``stop``, but nothing else that is given with a call or bound to the model:
    ``invoke("q", temperature=0)`` and ``invoke("q", temperature=1)`` share an answer. Set such
    parameters in the model's fields, or use :func:`~langchain_toolops.guard_llm`, which sees them.

    Of a stream the cache does not see whether the arguments of a tool call came whole, so tool
    calls of a model that streams in ``invoke`` are not kept. :func:`~langchain_toolops.guard_llm`
    and the middleware keep them.

    Answers that miss the schema of their structured output are not kept, as far as LangChain tells
    a cache of it: it does not tell of the schema in JSON mode, nor of a class's own validators.
    ``guard_llm`` knows both.

    Safe to use from any threads and event loops. Trouble with the cache is a miss or a no-op, with
    a notice to the runtime's sinks; nothing here raises.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        policy: Policy with ``cache``, and perhaps ``price`` and ``tags``. None: keep answers as
            long as the tiers do.
        semantic: Whether, or how, questions in other words share an answer. True: as
            ``Semantic(on="question")``, with the threshold or bound of the runtime's semantic
            cache, else at most 1 % wrong answers of all requests. A
            :class:`~toolops_plugins.Semantic` on "question" says more. None, the default: True if
            the runtime has a semantic cache.
        after_tools: Whether a turn that ends in tool results is looked up by meaning too. Default
            False.
        schema_version: Stands for the fields of the response schemas where LangChain tells a cache
            only their class names; change it with them. None: such calls go past the cache.
        usage_on_hit: "zero": a hit says that it took no tokens, so that counters count each
            paid call once. "keep": it tells the tokens of the call that made it. Default "zero".
        name: Name under which its calls are counted. Default "langchain.llm".

    Raises:
        ConfigurationError: A value is wrong, or does not fit the runtime.
    """

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        policy: Policy | None = None,
        semantic: Semantic | bool | None = None,
        after_tools: bool = False,
        schema_version: str | None = None,
        usage_on_hit: Literal["keep", "zero"] = "zero",
        name: str = "langchain.llm",
    ) -> None:
        self._ops = runtime_of(ops)
        teach(self._ops.codec)
        self._after_tools = after_tools
        self._schema_version = schema_version
        self._keeps_usage = keeps_usage(usage_on_hit)
        whole = Policy(cache=Cache()) | policy_of(policy)
        if semantic is None:
            semantic = whole.semantic or self._ops.semantic is not None
        if semantic is True:
            semantic = Semantic(on="question")
        whole = compare_by(whole.replace(semantic=semantic or None), content_of)
        if not callable(whole.tags):
            whole = whole.replace(tags=(*whole.tags, name))
        self._memo: dict[tuple[str, str], _KeyParts] = {}
        counter = ModelCounter(self._ops, "", "chat", whole.price, GenerationsView(read_result))
        whole = counter.apply_price(map_results(whole, GenerationsView))
        self._aside = self._ops.aside(_generate, policy=adapt_policy(whole, _is_kept), name=name)
        counter.describe(self._aside, lambda _: current_agent())

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return fresh copies of the generations kept for a prompt, or None."""
        parts = self._key_parts(prompt, llm_string)
        return None if parts is None else self._result(self._aside.lookup(*parts))

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """As :meth:`lookup`, without blocking the event loop."""
        parts = self._key_parts(prompt, llm_string)
        return None if parts is None else self._result(await self._aside.alookup(*parts))

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep the generations for a prompt, if they are whole and fit their schema."""
        parts = self._key_parts(prompt, llm_string)
        if parts is not None:
            note_generations(return_val)
            if not accepts_generations(llm_string, return_val):
                return
            self._aside.store(self._dump(return_val), *parts)

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """As :meth:`update`, without blocking the event loop."""
        parts = self._key_parts(prompt, llm_string)
        if parts is not None:
            note_generations(return_val)
            if not accepts_generations(llm_string, return_val):
                return
            await self._aside.astore(self._dump(return_val), *parts)

    def forget(self, prompt: str, llm_string: str) -> None:
        """Forget the generations kept for a prompt, and those that its meaning would find.

        :func:`~langchain_toolops.forget_answer` makes both texts of a model and its input.

        Args:
            prompt: As in :meth:`lookup`.
            llm_string: As in :meth:`lookup`.

        Raises:
            TierError: A tier could not be reached; the others have forgotten.
        """
        parts = self._key_parts(prompt, llm_string)
        if parts is not None:
            forget_calls(self._ops, [(self._aside, parts)])

    async def aforget(self, prompt: str, llm_string: str) -> None:
        """As :meth:`forget`, without blocking the event loop."""
        parts = self._key_parts(prompt, llm_string)
        if parts is not None:
            await aforget_calls(self._ops, [(self._aside, parts)])

    def explain(self, prompt: str, llm_string: str) -> Explanation:
        """Return why a lookup would be a hit or a miss now; it counts and stores nothing.

        :func:`~langchain_toolops.explain_answer` makes both texts of a model and its input.

        Args:
            prompt: As in :meth:`lookup`.
            llm_string: As in :meth:`lookup`.
        """
        parts = self._split(prompt, llm_string)
        if isinstance(parts, str):
            return self._explain_bypass(parts)
        return without_scope(self._aside.explain(*parts), parts[0])

    async def aexplain(self, prompt: str, llm_string: str) -> Explanation:
        """As :meth:`explain`, without blocking the event loop."""
        parts = self._split(prompt, llm_string)
        if isinstance(parts, str):
            return self._explain_bypass(parts)
        return without_scope(await self._aside.aexplain(*parts), parts[0])

    def _explain_bypass(self, reason: str) -> Explanation:
        note = _PAST.get(reason, "")
        return Explanation("", "", False, reason, "exact", {}, (), self._aside.name, "", note)  # noqa: FBT003 - its fields

    def clear(self, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Forget all that was kept under this cache's name, in every process; nothing else."""
        try:
            self._ops.invalidate([self._aside.name])
        except TierError as error:
            _cannot_clear(error)

    async def aclear(self, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """As :meth:`clear`, without blocking the event loop."""
        try:
            await self._ops.ainvalidate([self._aside.name])
        except TierError as error:
            _cannot_clear(error)

    def _dump(self, generations: RETURN_VAL_TYPE) -> Any:
        """Return what is stored of generations, or such as are not stored."""
        if not may_be_half(generations):
            return dump(generations)
        self._aside.warn("call_streamed" if tell_end(generations) else "end_untold")
        return _Doubtful(generations)

    def _key_parts(self, prompt: str, llm_string: str) -> _KeyParts | None:
        """Return what makes up the key, or None for what must go past the cache."""
        texts = prompt, llm_string
        parts = self._memo.get(texts)
        if parts is None:
            found = self._split(prompt, llm_string)
            if isinstance(found, str):
                self._aside.warn(found)
                return None
            parts = found
            if len(prompt) + len(llm_string) <= _MEMO_TEXT:
                if len(self._memo) >= _MEMO:
                    self._memo.clear()
                self._memo[texts] = parts
        return parts

    def _split(self, prompt: str, llm_string: str) -> _KeyParts | str:
        """Return what makes up the key, or the reason why a call must go past the cache."""
        version = ""
        if _ADDRESS in llm_string:
            return "address_in_model"
        if _CLASS in llm_string and _SCHEMA not in llm_string:
            if self._schema_version is None:
                return "schema_version_missing"
            version = f"schemas {self._schema_version}"
        try:
            question, scope = question_in_text(
                prompt, after_tools=self._after_tools, by_response=_BY_RESPONSE in llm_string
            )
            # As texts, since keys of texts are remembered.
            return question, json.dumps(scope), llm_string, version
        except (NotCanonicalError, RecursionError):
            return "not_canonical"

    def _result(self, found: Any) -> RETURN_VAL_TYPE | None:
        """Return what the cache gave as LangChain wants it, or None for anything else."""
        generations = load(found)
        if generations is None:
            return None
        new_ids = CallIds()
        for each in generations:
            if isinstance(each, ChatGeneration):
                mark_generation(each, keeps_usage=self._keeps_usage, new_ids=new_ids)
            else:
                note_generations((each,))  # which has no place for a mark
        return generations


class _Doubtful(Generations):
    """Generations that may be half an answer."""


def _is_kept(value: Any) -> bool:
    return type(value) is not _Doubtful and GenerationsView(are_whole)(value)


def _generate(question: str, scope: str, model: str, schema_version: str) -> Any:
    """Names what makes up the key of a model's answer."""


def _cannot_clear(error: TierError) -> None:
    # LangChain's callers expect no error of a cache; the runtime's sinks have had a notice too.
    report_unreached_tier(LOGGER, "cache", error)
