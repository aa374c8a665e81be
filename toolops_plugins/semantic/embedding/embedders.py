"""The protocol of embedders, and adapters for those of frameworks.

No framework is imported here. Embedders of LangChain, LlamaIndex and Chroma are recognised by their
methods. An adapter converts their results to one form and rejects invalid ones.

Questions are compared with questions, so one method embeds every text. Libraries that distinguish
queries from documents embed them as documents, for which they have batches.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from toolops_plugins.errors import ConfigurationError, EmbeddingError
from toolops_plugins.semantic.embedding.models import MiniLM, WordLlama

__all__ = [
    "Embedder",
    "EmbedderAdapter",
    "Matrix",
    "default_model",
    "embedder_of",
    "threshold_of",
    "thresholds_of",
    "unit_rows",
    "with_checks",
]

Matrix: TypeAlias = NDArray[np.float32]
_Embed: TypeAlias = Callable[[list[str]], Any]
_Aembed: TypeAlias = Callable[[list[str]], Awaitable[Any]]


class Embedder(Protocol):
    """An embedder: texts to vectors whose dot product is the similarity of two texts.

    An embedder may also have:

    - ``async def aembed(texts)``, the asynchronous form of :meth:`embed`. It is awaited on
      the caller's event loop and must not block it.
    - ``def quick(text) -> bool``: whether embedding this text alone takes well under a
      millisecond. Such texts are embedded directly, on event loops too.
    """

    @property
    def name(self) -> str:
        """The unique name of the model, the same in every process.

        An index stores it and refuses another, since vectors of two models are not comparable.
        """
        ...

    @property
    def dimension(self) -> int:
        """The length of every vector; reading it may load a model or embed a text."""
        ...

    def embed(self, texts: list[str]) -> Matrix:
        """Return one row of unit length for each text, in order; may block.

        A row of zeros stands for a text without meaning, such as the empty one, and is near to
        nothing. Called from any thread, one batch at a time for each ``Embeddings``.
        """
        ...


def unit_rows(given: Any, count: int, dimension: int | None = None) -> Matrix:
    """Return vectors in the form used internally: float32 rows of unit length.

    Args:
        given: The result of an embedder for ``count`` texts: an array or a list of vectors.
        count: The number of texts.
        dimension: The length that every vector must have, or None if it is not known yet.

    Returns:
        A new array of ``count`` rows. A row of zeros stays as it is.

    Raises:
        EmbeddingError: There are more or fewer vectors than texts, they are empty, not of one
            length or not of the right one, or hold something other than finite numbers.
    """
    try:
        rows = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(
            "the embedder returned something other than vectors of one length"
        ) from error
    if rows.dtype.kind not in "fiu":
        raise EmbeddingError(f"the embedder returned {rows.dtype} instead of numbers")
    if rows.dtype != np.float32:
        rows = rows.astype(np.float64)
    if rows.ndim != 2 or rows.shape[0] != count or not rows.shape[1]:
        raise EmbeddingError(
            f"the embedder returned an array of shape {rows.shape} for {count} texts"
        )
    if dimension is not None and rows.shape[1] != dimension:
        raise EmbeddingError(
            f"the embedder returned vectors of length {rows.shape[1]} instead of {dimension}"
        )
    if not np.isfinite(rows).all():
        raise EmbeddingError("the embedder returned numbers that are not finite")
    # Scaled by the largest component first, so that no square overflows or underflows.
    peaks = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    peaks[peaks == 0.0] = 1.0
    rows = rows / peaks
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    lengths[lengths == 0.0] = 1.0
    return cast("Matrix", (rows / lengths).astype(np.float32))


class EmbedderAdapter:
    """An adapter for an embedder of another form; as thread-safe as that embedder.

    Args:
        name: The unique name of its model.
        embed: Returns vectors for texts, of any length and as any kind of array or list.
        aembed: The same as a coroutine function that does not block its loop, or None.
        dimension: Returns the length of the vectors, or None to take it from the first ones.
        quick: As in :class:`Embedder`; None: never.
    """

    def __init__(
        self,
        name: str,
        embed: _Embed,
        aembed: _Aembed | None = None,
        *,
        dimension: Callable[[], int] | None = None,
        quick: Callable[[str], bool] | None = None,
    ) -> None:
        self.name = name
        self.aembed = None if aembed is None else partial(self._await_rows, aembed)
        self.quick = quick
        self._embed = embed
        self._tell = dimension
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """The length of every vector; embeds a short text if none was embedded before."""
        known = self._dimension_or_none()
        return self.embed(["dimension"]).shape[1] if known is None else known

    def embed(self, texts: list[str]) -> Matrix:
        """Return one row of unit length for each text.

        Raises:
            EmbeddingError: The result of the embedder is invalid.
            Exception: The error of the embedder.
        """
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return self._rows(self._embed(texts), len(texts))

    async def _await_rows(self, aembed: _Aembed, texts: list[str]) -> Matrix:
        return self._rows(await aembed(texts), len(texts)) if texts else self.embed([])

    def _dimension_or_none(self) -> int | None:
        if self._dimension is None and self._tell is not None:
            self._dimension = self._tell()
        return self._dimension

    def _rows(self, given: Any, count: int) -> Matrix:
        rows = unit_rows(given, count, self._dimension_or_none())
        self._dimension = rows.shape[1]
        return rows


def with_checks(embedder: Embedder) -> Embedder:
    """Return an embedder whose results are checked; those made here already are."""
    if isinstance(embedder, EmbedderAdapter | WordLlama):
        return embedder
    return EmbedderAdapter(
        embedder.name,
        embedder.embed,
        getattr(embedder, "aembed", None),
        dimension=lambda: embedder.dimension,
        quick=getattr(embedder, "quick", None),
    )


# -- embedders of users ------------------------------------------------------------------------

# One instance a process; models are loaded at first use.
_WORDLLAMA = WordLlama()
_CHROMA = EmbedderAdapter(MiniLM.name, MiniLM(), dimension=lambda: MiniLM.dimension)

# The share of wrong answers and of hits by threshold: benchmarks/calibrate.py.
_THRESHOLDS: Mapping[str, tuple[float, float]] = {
    WordLlama.name: (0.82, 0.25),
    MiniLM.name: (0.86, 0.4),
}
_CAREFUL = (0.95, 0.8)
_MISSING = object()


def thresholds_of(embedder: Embedder) -> tuple[float, float]:
    """Return the two least similarities at which an answer may be served.

    The first is for questions without a veto, the second for questions that the guards call
    equivalent.

    Those of the included models were measured with the guards (``benchmarks/calibrate.py``). For
    other models they are 0.95: some models, such as E5 and ada-002, give unrelated texts 0.75 or
    more, and a wrong answer is worse than a miss. Measure your own with
    ``toolops audit --semantic``.
    """
    return _THRESHOLDS.get(embedder.name, _CAREFUL)


def threshold_of(embedder: Embedder) -> float:
    """Return the first of :func:`thresholds_of`."""
    return thresholds_of(embedder)[0]


def embedder_of(given: object = None) -> Embedder:
    """Return the embedder for a parameter; models are loaded at first use, not here.

    Args:
        given: One of

            - None or ``"wordllama"``: WordLlama with the weights in its wheel (256 dimensions,
              some 30 microseconds a text, English above all). Never downloads anything.
            - ``"chroma"``: Chroma's default, all-MiniLM-L6-v2 on ONNX (384 dimensions, some
              milliseconds a text, better at meaning). Chroma downloads it at first use, 80 MB.
            - an object with ``name``, ``dimension`` and ``embed``, as in :class:`Embedder`.
            - a LlamaIndex ``BaseEmbedding``, a LangChain ``Embeddings`` or a Chroma
              ``EmbeddingFunction``, recognised by their methods.
            - a function that returns a list of vectors for a list of texts. Its name is
              ``callable:module.qualname``; set its attribute ``name`` where that is not unique
              to the model, as with lambdas.

    Raises:
        ConfigurationError: ``given`` is none of these, or its package is not installed.
    """
    if given is None or isinstance(given, str):
        return _embedder_by_name(given)
    if isinstance(given, type):
        raise ConfigurationError("embedder", f"must be an object, not the class {given.__name__}")
    for form in (_own, _llama_index, _langchain, _chroma, _function):
        embedder = form(given)
        if embedder is not None:
            return embedder
    raise ConfigurationError(
        "embedder",
        "must be 'wordllama', 'chroma', an object with name, dimension and embed(texts), a "
        "LangChain, LlamaIndex or Chroma embedder, or a plain function from a list of texts to a "
        f"list of vectors, not a {type(given).__qualname__}",
    )


def _embedder_by_name(name: str | None) -> Embedder:
    if name in {None, "wordllama"}:
        _require("wordllama")
        return _WORDLLAMA
    if name == "chroma":
        _require("chromadb")
        return _CHROMA
    raise ConfigurationError("embedder", f"is 'wordllama' or 'chroma' by name, not {name!r}")


def default_model() -> Embedder | None:
    """Return the model that comes with the extra, loaded at first use; None if it is missing."""
    return None if find_spec("wordllama") is None else _WORDLLAMA


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise ConfigurationError("embedder", f"needs the package {package}, not installed here")


def _own(given: Any) -> Embedder | None:
    if not callable(getattr(given, "embed", None)):
        return None
    # Not read: a dimension may load a model.
    if inspect.getattr_static(given, "dimension", _MISSING) is _MISSING:
        return None
    return cast("Embedder", given) if isinstance(_read(given, "name"), str) else None


def _llama_index(given: Any) -> Embedder | None:
    embed = getattr(given, "get_text_embedding_batch", None)
    if not callable(embed):
        return None
    # Unless a class has its own asynchronous batch, that of the base class runs the plain method
    # on the event loop.
    inherited = _inherits(given, "_aget_text_embeddings", "llama_index.core.")
    aembed = None if inherited else getattr(given, "aget_text_embedding_batch", None)
    return EmbedderAdapter(_name_of("llama_index", given), embed, aembed)


def _langchain(given: Any) -> Embedder | None:
    embed = getattr(given, "embed_documents", None)
    if not callable(embed):
        return None
    # The base class runs the plain method in the loop's default executor; our pool is bounded.
    inherited = _inherits(given, "aembed_documents", "langchain_core.")
    aembed = None if inherited else getattr(given, "aembed_documents", None)
    return EmbedderAdapter(_name_of("langchain", given), embed, aembed)


def _chroma(given: Any) -> Embedder | None:
    name = getattr(given, "name", None)
    if not (callable(given) and callable(name)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of functions without a name
        kind = name()
    if type(given).__module__.startswith("chromadb.") and kind == "default":
        return _CHROMA
    if kind == "onnx_mini_lm_l6_v2":  # another name of the same model
        return EmbedderAdapter(MiniLM.name, given, dimension=lambda: MiniLM.dimension)
    parts = ["chroma", kind if isinstance(kind, str) else _path(type(given))]
    config = _read(given, "get_config")
    with suppress(Exception):  # the name without its model is still useful
        parts += _traits(config().get)
    return EmbedderAdapter(":".join(parts), given)


def _function(given: Any) -> Embedder | None:
    if not callable(given):
        return None
    if inspect.iscoroutinefunction(given):
        raise ConfigurationError(
            "embedder",
            "must not be a coroutine function: plain calls need embeddings too. Pass an object "
            "with name, dimension, embed(texts) and, for coroutines, aembed(texts)",
        )
    name = _read(given, "name")
    return EmbedderAdapter(name if isinstance(name, str) and name else _callable_name(given), given)


# -- names -----------------------------------------------------------------------------------


def _callable_name(given: Any) -> str:
    """Return the name of a function, method, partial or callable object, with its model if any."""
    source: Callable[[str], Any] = partial(_read, given)
    if isinstance(given, partial):
        source, given = given.keywords.get, given.func
    elif inspect.ismethod(given):
        source = partial(_read, given.__self__)
    named = given if hasattr(given, "__qualname__") else type(given)
    return ":".join(["callable", _path(named), *_traits(source)])


def _path(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _name_of(framework: str, given: Any) -> str:
    return ":".join([framework, type(given).__name__, *_traits(partial(_read, given))])


def _traits(read: Callable[[str], Any]) -> list[str]:
    """Return the model's name and dimension, which distinguish models of one class."""
    models = (read(field) for field in ("model_name", "model", "model_id", "deployment", "repo_id"))
    model = next((model for model in models if isinstance(model, str) and model), None)
    size = read("dimensions")
    return [*([model] if model else []), *([str(size)] if isinstance(size, int) else [])]


def _read(given: Any, field: str) -> Any:
    """Return an attribute, or None if there is none or it cannot be read."""
    try:
        return getattr(given, field, None)
    except Exception:  # noqa: BLE001 - a property of a user's class may raise anything
        return None


def _inherits(given: Any, method: str, package: str) -> bool:
    """Return whether an object has a method from the framework's own base class."""
    for kind in type(given).__mro__:
        if method in vars(kind):
            return kind.__module__.startswith(package)
    return False
