from __future__ import annotations

import base64
import functools
import logging
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolops_plugins import ConfigurationError
from toolops_plugins.errors import EmbeddingError, TierError
from toolops_plugins.semantic.embedding.embedders import (
    Embedder,
    EmbedderAdapter,
    embedder_of,
    threshold_of,
    unit_rows,
)

WORDLLAMA = embedder_of()


def lengths(texts: list[str]) -> list[list[float]]:
    return [[len(text), 1.0, 0.0] for text in texts]


# One form


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(
                st.floats(allow_nan=False, allow_infinity=False), min_size=width, max_size=width
            ),
            min_size=1,
            max_size=6,
        )
    )
)
def test_rows_become_unit_length_and_keep_their_direction(given: list[list[float]]) -> None:
    rows = unit_rows(given, len(given))
    assert rows.dtype == np.float32
    assert rows.shape == (len(given), len(given[0]))
    for row, source in zip(rows, given, strict=True):
        peak = max(map(abs, source))
        if peak == 0.0:
            assert not row.any()
            continue
        assert np.linalg.norm(row.astype(np.float64)) == pytest.approx(1.0, abs=1e-6)
        scaled = np.array(source) / peak
        np.testing.assert_allclose(row, scaled / np.linalg.norm(scaled), atol=1e-6)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16]
)
def test_numbers_of_any_kind_become_float32(dtype: Any) -> None:
    rows = unit_rows(np.array([[3, 4]], dtype), 1)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8]], rtol=1e-6)


def test_vectors_may_be_a_list_of_arrays() -> None:
    rows = unit_rows([np.array([0, 2.0]), np.array([3.0, 0])], 2, 2)
    assert rows.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_the_array_of_the_embedder_is_left_alone() -> None:
    given = np.array([[1.0, 0.0]], np.float32)
    unit_rows(given, 1)[0, 0] = 7.0
    assert given.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (None, 1),
        ("vector", 1),
        (["vector"], 1),
        ([["1.0", "2.0"]], 1),
        ([[True, False]], 1),
        ([[1j, 0.0]], 1),
        ([[1.0, 2.0], [1.0]], 2),
        ([1.0, 2.0], 2),
        ([1.0, 2.0], 1),
        ([[[1.0]]], 1),
        ([], 1),
        ([[]], 1),
        ([[1.0, 0.0]], 2),
        ([[1.0, 0.0], [1.0, 0.0]], 1),
        ([[1.0, 0.0, 0.0]], 1),
        ([[1.0, float("nan")]], 1),
        ([[float("inf"), 1.0]], 1),
        ((row for row in [[1.0, 2.0]]), 1),
        ({"embedding": [[1.0, 2.0]]}, 1),
    ],
)
def test_rubbish_is_refused(given: Any, count: int) -> None:
    with pytest.raises(EmbeddingError, match="the embedder returned"):
        unit_rows(given, count, 2)


def test_an_embedding_error_is_trouble_with_a_tier() -> None:
    assert issubclass(EmbeddingError, TierError)


# WordLlama


def test_wordllama_is_the_default_and_loaded_once() -> None:
    assert embedder_of(None) is embedder_of("wordllama") is WORDLLAMA
    assert (WORDLLAMA.name, WORDLLAMA.dimension) == ("wordllama:256:l2_supercat:lower", 256)


def test_wordllama_gives_what_its_own_package_gives_for_the_folded_text() -> None:
    import wordllama

    texts = ["How do I reset my password?", "ein Wörterbuch 📕 漢字", "a", "word " * 3_000]
    model = wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    folded = [f" {text.strip().lower()}" for text in texts]
    theirs = np.vstack([model.embed(text, norm=True) for text in folded])
    np.testing.assert_allclose(WORDLLAMA.embed(texts), theirs, atol=1e-5)


def test_wordllama_knows_near_from_far() -> None:
    question, near, far = WORDLLAMA.embed(
        ["how do I reset my password", "how can I reset my passwords?", "weather in Oslo today"]
    )
    assert question @ near > 0.8
    assert question @ far < 0.4


def test_a_text_without_meaning_is_near_to_nothing() -> None:
    rows = WORDLLAMA.embed(["", "something"])
    assert not rows[0].any()
    assert rows[0] @ rows[1] == 0.0
    assert WORDLLAMA.embed([]).shape == (0, 256)


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=8))
@example(["half of a pair \ud83d"])
def test_wordllama_takes_any_text_in_any_company(texts: list[str]) -> None:
    rows = WORDLLAMA.embed(texts)
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), 256)
    assert all(not row.any() or np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5) for row in rows)
    for row, text in zip(rows, texts, strict=True):
        np.testing.assert_array_equal(row, WORDLLAMA.embed([text])[0])


def test_only_short_texts_are_quick_and_only_once_the_model_is_there() -> None:
    from toolops_plugins.semantic.embedding.models import WordLlama

    model = WordLlama()
    assert not model.quick("short")
    model.embed(["short"])
    assert model.quick("short")
    assert model.quick("x" * 300)
    assert not model.quick("x" * 301)
    assert not model.quick("漢" * 76)


def test_importing_wordllama_leaves_logging_alone() -> None:
    code = """if True:
        import logging, warnings
        warnings.simplefilter("error")
        from toolops_plugins.semantic.embedding.embedders import embedder_of
        embedder = embedder_of()
        import sys
        assert "wordllama" not in sys.modules
        embedder.embed(["hello"])
        assert "wordllama" in sys.modules
        assert logging.getLogger().handlers == [], logging.getLogger().handlers
        assert logging.getLogger().level == logging.WARNING
        assert "chromadb" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# Chroma


class Letters:
    """The embedding that the tests' Chroma functions compute."""

    def __call__(self, texts: list[str]) -> list[Any]:
        return [np.array([text.count("a"), text.count("b"), 2.0], np.float32) for text in texts]


@pytest.fixture(scope="module")
def chroma_function() -> Any:
    from chromadb import EmbeddingFunction

    class LetterFunction(EmbeddingFunction):
        def __init__(self, model_name: str = "letters-v1") -> None:
            self.model_name = model_name

        def __call__(self, input):  # noqa: A002 - Chroma's name
            return Letters()(input)

        @staticmethod
        def name() -> str:
            return "letters"

        def get_config(self) -> dict[str, Any]:
            return {"model_name": self.model_name, "api_key_env_var": "LETTERS_KEY"}

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> Any:
            return LetterFunction(config["model_name"])

    return LetterFunction


def test_a_chroma_function_is_adapted(chroma_function: Any) -> None:
    embedder = embedder_of(chroma_function())
    assert embedder.name == "chroma:letters:letters-v1"
    assert embedder_of(chroma_function("letters-v2")).name == "chroma:letters:letters-v2"
    np.testing.assert_allclose(
        embedder.embed(["abb", ""]), unit_rows([[1, 2, 2], [0, 0, 2]], 2), atol=1e-6
    )
    assert embedder.dimension == 3


def test_a_chroma_function_of_the_old_kind_has_its_class_for_a_name() -> None:
    from chromadb import EmbeddingFunction

    class Old(EmbeddingFunction):
        def __init__(self) -> None:
            pass

        def __call__(self, input):  # noqa: A002 - Chroma's name
            return Letters()(input)

    embedder = embedder_of(Old())
    assert embedder.name.startswith("chroma:")
    assert embedder.name.endswith("Old")
    assert embedder.embed(["a"]).shape == (1, 3)


def test_chromas_default_is_one_model_by_all_its_names() -> None:
    from chromadb.utils.embedding_functions import DefaultEmbeddingFunction, ONNXMiniLM_L6_V2

    embedder = embedder_of("chroma")
    assert (embedder.name, embedder.dimension) == ("chroma:default", 384)
    assert embedder_of(DefaultEmbeddingFunction()) is embedder
    assert embedder_of(ONNXMiniLM_L6_V2()).name == "chroma:default"


# An ONNX model with the inputs and the output of MiniLM, whose row for a token is the sine of the
# token's number times 1 to 384: the graph Cast, Unsqueeze, Mul with a Range, Sin, of opset 17.
TINY_MODEL = (
    "c-n1_!AiqG6h-rrNGDf_$+QJQM3`kh!Htma3T_lP-GoUqXlOF2ofoLC@+p3bTmQ;P77F$)9vtrFa)h}3"
    "@^OQxw)>uox^j}V3Rl{37QyH4l0L}C0;EAlNu`ROtb6T^c{iAY8c+-BBpuY*gSO8GF{lI`ByCl2-#54d"
    "ZDrbwgT+f-RmK*MH5(N?)>aZ{si0(*({U|)Z@TO}p`4m^=y}841nmgJ=W2p(N;cPjtrNszCV^md{CRGp"
    "5Nl>*x$bPyYPUPx;choN@!Q^<-YGNux0g%I1<8xw8Uir{c?d5_zX9zfM<x"
)


@pytest.fixture
def tiny_minilm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Chroma's function, which finds a tiny model where it would have downloaded the real one."""
    import tokenizers
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(zlib.decompress(base64.b85decode(TINY_MODEL)))
    words = {"[PAD]": 0, "[UNK]": 1, "to": 2, "be": 3, "or": 4, "not": 5}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    for name in ("config", "special_tokens_map", "tokenizer_config"):
        (folder / f"{name}.json").write_text("{}")
    (folder / "vocab.txt").touch()
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", tmp_path)
    return ONNXMiniLM_L6_V2


def test_chromas_model_is_loaded_once_and_gives_the_same_without_padding(tiny_minilm: Any) -> None:
    from toolops_plugins.semantic.embedding.models import MiniLM

    texts = ["to be or not to be", "be", "to to to whatever", "not " * 1_000]
    model = MiniLM()
    function = model._load()
    assert model._load() is function
    np.testing.assert_allclose(model(texts), tiny_minilm()(texts), atol=1e-6)
    assert len(function.tokenizer.encode("to be").ids) == 2
    assert EmbedderAdapter("tiny", model).embed(texts).shape == (4, MiniLM.dimension)


# LangChain


class LangChainShape:
    """The methods of ``langchain_core.embeddings.Embeddings``."""

    def __init__(self, model: str = "text-embedding-3-small") -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return lengths(texts)

    def embed_query(self, text: str) -> list[float]:
        raise AssertionError("questions are embedded by one method, whichever side they are on")

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return lengths(texts)


async def test_a_langchain_embedder_is_adapted_with_its_asynchronous_twin() -> None:
    embedder: Any = embedder_of(LangChainShape())
    assert embedder.name == "langchain:LangChainShape:text-embedding-3-small"
    np.testing.assert_array_equal(
        await embedder.aembed(["one", "three"]), embedder.embed(["one", "three"])
    )
    assert embedder.dimension == 3


def test_a_chosen_dimension_is_part_of_the_name() -> None:
    given: Any = LangChainShape()
    given.dimensions = 512
    assert embedder_of(given).name == "langchain:LangChainShape:text-embedding-3-small:512"


def test_a_twin_that_only_borrows_a_thread_is_passed_over() -> None:
    # As the base class of langchain_core has one for those that bring none of their own.
    base = type("Embeddings", (LangChainShape,), {"__module__": "langchain_core.embeddings"})
    base.aembed_documents = LangChainShape.aembed_documents
    local: Any = embedder_of(type("Local", (base,), {})())
    remote: Any = embedder_of(
        type("Remote", (base,), {"aembed_documents": LangChainShape.aembed_documents})()
    )
    assert local.aembed is None
    assert remote.aembed is not None


# LlamaIndex


class LlamaIndexShape:
    """The methods of ``llama_index.core.base.embeddings.base.BaseEmbedding``."""

    def __init__(self, model_name: str = "BAAI/bge-small-en") -> None:
        self.model_name = model_name

    def __call__(self, nodes: Any) -> Any:
        raise AssertionError("it transforms nodes too, which is not asked for")

    @classmethod
    def class_name(cls) -> str:
        return "LlamaIndexShape"

    def get_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False
    ) -> list[list[float]]:
        assert not show_progress
        return lengths(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return lengths(texts)

    async def aget_text_embedding_batch(self, texts: list[str]) -> list[list[float]]:
        return await self._aget_text_embeddings(texts)


async def test_a_llama_index_embedder_is_adapted_with_its_asynchronous_twin() -> None:
    embedder: Any = embedder_of(LlamaIndexShape())
    assert embedder.name == "llama_index:LlamaIndexShape:BAAI/bge-small-en"
    np.testing.assert_array_equal(
        await embedder.aembed(["one", "three"]), embedder.embed(["one", "three"])
    )


def test_a_twin_that_blocks_the_loop_is_passed_over() -> None:
    # As the base class of LlamaIndex has one for those that bring no asynchronous batch.
    base = type(
        "BaseEmbedding", (LlamaIndexShape,), {"__module__": "llama_index.core.base.embeddings.base"}
    )
    base._aget_text_embeddings = LlamaIndexShape._aget_text_embeddings
    local: Any = embedder_of(type("Local", (base,), {})())
    assert local.aembed is None
    assert local.embed(["x"]).shape == (1, 3)


# Our own protocol


class Own:
    name = "own:1"
    dimension = 3

    def embed(self, texts: list[str]) -> Any:
        return unit_rows(lengths(texts), len(texts))


def test_an_embedder_of_our_own_form_is_taken_as_it_is() -> None:
    own: Embedder = Own()
    assert embedder_of(own) is own


def test_looking_at_an_embedder_does_not_ask_for_its_dimension() -> None:
    class Lazy(Own):
        @property
        def dimension(self) -> int:
            raise AssertionError("this would load the model")

    lazy = Lazy()
    assert embedder_of(lazy) is lazy


# Functions


def module_level(texts: list[str], model: str = "a") -> list[list[float]]:
    return lengths(texts)


class CallableEmbedder:
    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def __call__(self, texts: list[str]) -> list[list[float]]:
        return lengths(texts)

    def encode(self, texts: list[str]) -> list[list[float]]:
        return lengths(texts)


def test_functions_are_named_by_where_they_are_and_by_their_model() -> None:
    here = __name__
    assert embedder_of(module_level).name == f"callable:{here}.module_level"
    assert (
        embedder_of(functools.partial(module_level, model="b")).name
        == f"callable:{here}.module_level:b"
    )
    assert embedder_of(CallableEmbedder("c")).name == f"callable:{here}.CallableEmbedder:c"
    assert (
        embedder_of(CallableEmbedder("d").encode).name
        == f"callable:{here}.CallableEmbedder.encode:d"
    )


def test_the_attribute_name_tells_functions_apart() -> None:
    first = functools.partial(module_level)
    first.name = "bge:small"  # type: ignore[attr-defined]  # users set it so
    assert embedder_of(first).name == "bge:small"
    second = lambda texts: lengths(texts)  # noqa: E731 - a function that has no name
    assert "<lambda>" in embedder_of(second).name
    second.name = "bge:large"  # type: ignore[attr-defined]  # users set it so
    assert embedder_of(second).name == "bge:large"


def test_a_dimension_is_found_out_once_and_held_to() -> None:
    asked: list[list[str]] = []
    widths = iter([3, 3, 4])

    def embed(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        width = next(widths)
        return [[1.0] * width for _ in texts]

    embedder = embedder_of(embed)
    assert asked == []
    assert (embedder.dimension, embedder.dimension) == (3, 3)
    assert len(asked) == 1
    assert embedder.embed([]).shape == (0, 3)
    embedder.embed(["x"])
    with pytest.raises(EmbeddingError, match="length 4 instead of 3"):
        embedder.embed(["y"])


async def test_an_adapted_embedder_checks_both_its_faces() -> None:
    async def rubbish(texts: list[str]) -> list[list[float]]:
        return [[float("nan")] for _ in texts]

    embedder: Any = EmbedderAdapter("rubbish", lambda texts: [[]], rubbish)
    with pytest.raises(EmbeddingError, match="shape"):
        embedder.embed(["x"])
    with pytest.raises(EmbeddingError, match="finite"):
        await embedder.aembed(["x"])


# What is refused


async def coroutine_function(texts: list[str]) -> list[list[float]]:
    return lengths(texts)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("openai", "'wordllama' or 'chroma' by name"),
        (7, "must be 'wordllama'"),
        (object(), "must be 'wordllama'"),
        ([[1.0]], "must be 'wordllama'"),
        (LangChainShape, "must be an object, not the class LangChainShape"),
        (coroutine_function, "must not be a coroutine function"),
    ],
)
def test_anything_else_is_refused_in_plain_words(given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        embedder_of(given)
    assert caught.value.parameter == "embedder"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "chromadb", raising=False)
    with pytest.raises(ConfigurationError, match="needs the package chromadb"):
        embedder_of("chroma")


# Thresholds


def test_an_unknown_model_has_the_most_careful_threshold() -> None:
    unknown = threshold_of(embedder_of(module_level))
    shipped = [threshold_of(embedder_of(name)) for name in ("wordllama", "chroma")]
    assert all(0.5 < threshold < unknown < 1.0 for threshold in shipped)


def test_nothing_is_logged_by_an_adapter(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        embedder_of(module_level).embed(["a question of somebody's"])
    assert caplog.text == ""
