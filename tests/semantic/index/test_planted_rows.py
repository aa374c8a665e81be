"""Attacks on a semantic cache by writing to Chroma without the secret."""

from __future__ import annotations

import json
from base64 import b64encode
from contextvars import ContextVar

import chromadb
import pytest
from chromadb.config import Settings
from servers import wait_for

from toolops_plugins import Cache, Semantic, SemanticCache, ToolOps
from toolops_plugins.clock import SYSTEM_CLOCK
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
SPAIN = "What is the capital of Spain?"


class Index:
    """A place for an index, with the attacker's way to it."""

    def __init__(self, options, client):
        self.options = options
        self.client = client
        self.made = []

    def cache(self, secret="secret", **options):
        self.made.append(SemanticCache(**self.options, secret=secret, **options))
        return self.made[-1]

    def rows(self, name=None):
        name = name or self.options["collection"]
        return self.client.get_collection(name, embedding_function=None)

    def states(self):
        return self.rows(f"{self.options['collection']}-state")

    def copies(self, collection=None):
        return (collection or self.rows()).get(include=["metadatas", "documents", "embeddings"])

    def put_back(self, copies, collection=None):
        if copies["ids"]:
            (collection or self.rows()).upsert(
                ids=copies["ids"],
                metadatas=copies["metadatas"],
                documents=copies["documents"],
                embeddings=copies["embeddings"],
            )

    def change(self, **changes):
        """Change metadata of all rows, whose old ones Chroma keeps."""
        rows = self.rows()
        for id_ in rows.get(include=[])["ids"]:
            rows.update(ids=[id_], metadatas=[changes])

    def close(self):
        for cache in self.made:
            cache.close()


@pytest.fixture(params=["folder", "server"])
def index(request, tmp_path):
    if request.param == "folder":
        settings = Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(tmp_path / "index"), settings=settings)
        found = Index({"client": client, "collection": "attacked"}, client)
    else:
        server = request.getfixturevalue("chroma_server")
        name = request.getfixturevalue("collection")
        client = chromadb.HttpClient(server.host, server.port)
        found = Index({"url": server.url, "collection": name}, client)
    yield found
    found.close()
    # Chroma's own close() leaves the connections of the part that knows tenants.
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if session is not None:
            session.close()
    client.close()


@pytest.fixture
def log(caplog):
    """The log's lines, which say when something was refused."""
    caplog.set_level("WARNING", logger="toolops_plugins")
    return caplog


def store_answers(index, *answers, **options):
    """Return a cache whose answers are stored, and close it."""
    cache = index.cache(**options)
    for question, answer, scope in answers or [(FRANCE, "Paris", "ann")]:
        cache.put(question, answer, scope=scope, tags=["geography"])
    cache.flush()
    cache.close()
    return cache


def test_what_was_signed_is_found_again(index):
    store_answers(index)
    assert index.cache().find(AGAIN, "ann").value == "Paris"
    assert index.cache().find(AGAIN, "bob") is None


def test_planted_rows_are_not_served(index, log):
    """An attacker's own row, complete but for the signature."""
    store_answers(index)
    for record in index.copies()["metadatas"]:
        entry = json.loads(record["entry"]) | {"data": b64encode(b'"planted"').decode()}
        index.change(entry=json.dumps(entry))
    assert index.cache().find(AGAIN, "ann") is None
    # A folder is read in a thread of its own.
    wait_for(lambda: "TamperedError" in log.text, "the line of the log")
    assert "planted" not in log.text


@pytest.mark.parametrize("secret", [None, "guess"])
def test_rows_of_no_or_another_secret_are_not_served(index, secret):
    store_answers(index, secret=secret)
    rows = index.copies()
    cache = index.cache()
    assert cache.find(AGAIN, "ann") is None
    cache.put(SPAIN, "Madrid", scope="ann")
    cache.flush()
    # Under the ids and in the scope that the holder of the secret asks for.
    own = index.copies()
    mine = next(i for i, id_ in enumerate(own["ids"]) if id_ not in rows["ids"])
    rows["ids"] = [own["ids"][mine]]
    for name in ("scope", "expires"):
        rows["metadatas"][0][name] = own["metadatas"][mine].get(name)
    cache.close()
    index.put_back(rows)
    assert index.cache().find(SPAIN, "ann") is None


def test_one_tenants_answer_moved_into_anothers_row_is_not_served(index, log):
    store_answers(index, (FRANCE, "ann's", "ann"), (FRANCE, "bob's", "bob"))
    rows = index.rows()
    one, two = index.copies()["ids"]
    fields = [rows.get(ids=[id_], include=["metadatas"])["metadatas"][0] for id_ in (one, two)]
    rows.update(ids=[one], metadatas=[{"entry": fields[1]["entry"]}])
    rows.update(ids=[two], metadatas=[fields[0] | {"scope": fields[1]["scope"]}])
    cache = index.cache()
    assert cache.find(AGAIN, "ann") is None
    assert cache.find(AGAIN, "bob") is None
    wait_for(lambda: "TamperedError" in log.text, "the line of the log")


def test_a_vector_moved_to_another_question_is_of_no_use(index):
    store_answers(index, (FRANCE, "Paris", "ann"), (SPAIN, "Madrid", "ann"))
    copies = index.copies()
    copies["embeddings"] = copies["embeddings"][::-1]
    index.put_back(copies)
    cache = index.cache(guards=[], threshold=0.9)
    assert cache.find(FRANCE, "ann").value == "Paris"
    assert cache.find(SPAIN, "ann").value == "Madrid"
    found = cache.find(AGAIN, "ann")
    assert found is None or found.value == "Paris"


def test_a_later_end_is_not_believed(index):
    clock = FakeClock()
    cache = index.cache(clock=clock)
    cache.put(FRANCE, "Paris", scope="ann", ttl=60)
    cache.flush()
    cache.close()
    index.change(expires=clock.time() + 1e9)
    clock.advance(61)
    assert index.cache(clock=clock).find(FRANCE, "ann") is None


def forget_by_question(cache):
    cache.delete(FRANCE, "ann")


def forget_by_tag(cache):
    cache.invalidate(["geography"])


def forget_all(cache):
    cache.clear()


def forget_scope(cache):
    cache.clear("ann")


FORGET = pytest.mark.parametrize(
    "forget", [forget_by_question, forget_by_tag, forget_all, forget_scope]
)


@FORGET
def test_a_row_put_back_after_it_was_invalidated_is_not_served(index, forget):
    # Beside a clock that goes one that stands: whatever is written has one time.
    options = {} if "url" in index.options else {"clock": FakeClock()}
    store_answers(index, **options)
    copies = index.copies()
    cache = index.cache(**options)
    assert cache.find(AGAIN, "ann").value == "Paris"
    forget(cache)
    index.put_back(copies)
    assert cache.find(AGAIN, "ann") is None
    assert cache.find(FRANCE, "ann") is None
    cache.close()
    index.put_back(copies)
    # Nor by a process that was not there when it was invalidated.
    another = index.cache(**options)
    assert another.find(AGAIN, "ann") is None
    another.put(FRANCE, "Parigi", scope="ann", tags=["geography"])
    another.flush()
    another.close()
    assert index.cache(**options).find(AGAIN, "ann").value == "Parigi"


@pytest.mark.parametrize("index", ["server"], indirect=True)  # a folder has one process only
@FORGET
def test_another_that_runs_already_refuses_it_too(index, forget):
    store_answers(index)
    copies = index.copies()
    clock = FakeClock()
    other = index.cache(clock=clock)
    assert other.find(AGAIN, "ann").value == "Paris"
    forget(index.cache())
    index.put_back(copies)
    clock.advance(1)
    assert other.find(AGAIN, "ann") is None


def test_who_deletes_the_note_of_an_invalidation_is_seen_through_by_those_who_read_it(index):
    store_answers(index)
    copies = index.copies()
    cache = index.cache()
    cache.invalidate(["geography"])
    notes = index.states()
    notes.delete(ids=notes.get(include=[])["ids"])
    index.put_back(copies)
    cache.close()
    assert cache.find(AGAIN, "ann") is None  # opened again, in the same process


def test_many_invalidations_are_joined(index):
    if "url" in index.options:
        return  # the same, only slower
    cache = index.cache()
    for number in range(70):
        cache.invalidate([f"tag {number}"])
    cache.close()
    cache = index.cache()
    cache.open()
    notes = [r for r in index.states().get(include=["metadatas"])["metadatas"] if "void" in r]
    assert len(notes) == 1
    assert len(cache.answers.index._voids) == 70


@pytest.mark.parametrize("secret", [None, "secret"])
def test_a_remembered_error_is_no_answer(index, secret):
    """Without a secret others may plant answers, but nothing else."""
    store_answers(index, secret=secret)
    for record in index.copies()["metadatas"]:
        data = b64encode(b'["ValueError",["gotcha"],{}]').decode()
        entry = json.loads(record["entry"]) | {"codec": "error", "data": data}
        index.change(entry=json.dumps(entry))
    assert index.cache(secret=secret).find(AGAIN, "ann") is None


def test_what_was_learned_is_signed(index):
    cache = index.cache(max_error=0.1)
    cache.find(FRANCE)
    cache.put(FRANCE, "Paris")
    cache.find(SPAIN)
    cache.put(SPAIN, "Madrid")
    cache.flush()
    wait_for(lambda: cache.answers.index.learned._recalled, "what was learned earlier")
    cache.answers.index.learned.note_change()
    cache.flush()
    store = cache.answers.index.store
    assert len(store.states.read()) == 1
    states = index.states()
    for id_ in states.get(include=[])["ids"]:
        states.update(ids=[id_], metadatas=[{"state": b64encode(b"planted").decode()}])
    assert store.states.read() == {}
    assert store.tampered == 1


@pytest.mark.parametrize("encrypt", [True, "another key"])
def test_encrypted_questions_and_answers_are_found_and_not_shown(index, encrypt):
    secret_tag = "ann-the-patient"
    cache = index.cache(encrypt=encrypt)
    cache.put(FRANCE, "a private answer", scope="ann", tags=[secret_tag])
    cache.flush()
    cache.close()
    copies = index.copies()
    shown = repr((copies["documents"], copies["metadatas"]))
    for word in ("France", "private", secret_tag):
        assert word not in shown
    cache = index.cache(encrypt=encrypt)
    match = cache.find(AGAIN, "ann")
    assert (match.value, match.question, match.tags) == ("a private answer", FRANCE, (secret_tag,))
    cache.invalidate([secret_tag])
    assert index.rows().count() == 0
    cache.put(FRANCE, "again", scope="ann")
    cache.flush()
    cache.close()
    for options in ({}, {"encrypt": b"wrong"}, {"secret": None}, {"secret": "guess"}):
        assert index.cache(**options).find(AGAIN, "ann") is None


def test_encryption_needs_a_secret(tmp_path):
    with pytest.raises(ConfigurationError, match=r"encrypt: needs secret="):
        SemanticCache(tmp_path, encrypt=True).find(FRANCE)
    with pytest.raises(ConfigurationError, match=r"encrypt: needs secret="):
        SemanticCache(tmp_path, encrypt=True).put(FRANCE, "Paris")
    with pytest.raises(ConfigurationError, match=r"encrypt: needs secret="):
        SemanticCache(tmp_path, encrypt=True).open()
    with pytest.raises(ConfigurationError, match=r"encrypt: needs secret="):
        ToolOps(semantic=SemanticCache(tmp_path, encrypt=True))
    with pytest.raises(ConfigurationError, match="encrypt: must be"):
        SemanticCache(tmp_path, secret="s", encrypt=7)
    with pytest.raises(ConfigurationError, match="secret: must be"):
        SemanticCache(tmp_path, secret=b"")


def test_a_runtime_encrypts_its_semantic_index_too(index):
    calls = []

    def ask(**options):
        with ToolOps("clinic", semantic=SemanticCache(**index.options), **options) as ops:

            @ops.readonly(
                cache=Cache(ttl=600), semantic=Semantic(on="question", threshold=0.8), name="ask"
            )
            def answer(question: str) -> str:
                calls.append(question)
                return "a private answer"

            return answer(AGAIN if calls else FRANCE)

    options = {"secret": "secret", "encrypt": True}
    assert ask(**options) == ask(**options) == "a private answer"
    assert calls == [FRANCE]
    copies = index.copies()
    shown = repr((copies["documents"], copies["metadatas"]))
    assert "France" not in shown
    assert "private" not in shown


async def test_in_a_runtime_no_tenant_gets_what_was_planted_for_him(index):
    tenant = ContextVar("tenant")
    notices = []

    class Sink:
        def on_call(self, event):
            pass

        def on_notice(self, notice):
            notices.append((notice.kind, notice.name))

    def runtime():
        ops = ToolOps(
            "bank",
            semantic=SemanticCache(**index.options),
            secret="secret",
            tenant=tenant,
            sinks=[Sink()],
        )

        @ops.readonly(cache=Cache(ttl=600), semantic=Semantic(on="question", threshold=0.8))
        async def balance(question: str) -> str:
            return f"of {tenant.get()}"

        return ops, balance

    ops, balance = runtime()
    for name in ("ann", "bob"):
        tenant.set(name)
        assert await balance("what is the balance of my account?") == f"of {name}"
    await ops.aclose()
    rows = index.rows()
    one, two = index.copies()["ids"]
    first, second = (
        rows.get(ids=[id_], include=["metadatas"])["metadatas"][0] for id_ in (one, two)
    )
    rows.update(ids=[one], metadatas=[first | {"entry": second["entry"]}])
    rows.update(ids=[two], metadatas=[second | {"entry": first["entry"]}])
    ops, balance = runtime()
    for name in ("ann", "bob"):
        tenant.set(name)
        assert await balance("what's the balance of my account") == f"of {name}"
    assert ("tampered", "semantic") in notices
    await ops.aclose()


def test_who_was_told_of_an_invalidation_needs_no_note_of_it(index):
    cache = index.cache()
    cache.put(FRANCE, "Paris", scope="ann", tags=["geography"])
    cache.flush()
    cache.close()
    for ids, tags, everything in (([], ["geography"], False), ([], [], True)):
        other = index.cache()
        assert other.find(AGAIN, "ann").value == "Paris"
        other.close()
        other.open()
        other.expire(ids, tags, SYSTEM_CLOCK.time(), everything=everything)
        if "url" in index.options:
            assert other.find(AGAIN, "ann") is None
        other.put(FRANCE, "Paris", scope="ann", tags=["geography"])
        other.flush()
        assert other.find(AGAIN, "ann").value == "Paris"
        other.close()
        index.made.remove(other)
