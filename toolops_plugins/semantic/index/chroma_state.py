"""The collection of learned states and invalidations, beside the entries in Chroma."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode, b64encode
from collections.abc import Sequence

from toolops_plugins.errors import TamperedError
from toolops_plugins.semantic.index.chroma_connection import Link
from toolops_plugins.semantic.index.invalidations import Voids
from toolops_plugins.semantic.index.protection import Protection
from toolops_plugins.semantic.index.remote_invalidations import Position

__all__ = ["StateStore", "Tally"]

_POSITION = "position"  # the id of its record
_VOIDS = 64  # records of invalidations above which they are merged


class Tally:
    """Counts of records that were not used."""

    __slots__ = ("skipped", "tampered")

    def __init__(self) -> None:
        self.skipped = 0
        """Number of records that were skipped, since they are foreign or broken."""
        self.tampered = 0
        """Number of records without a valid signature."""


class StateStore:
    """Learned states by process, and invalidations. Safe to use from any threads.

    Args:
        link: The connection to Chroma.
        protection: Signs and encrypts the records. None: neither, and no invalidations.
        tally: Counts records that were not used.
    """

    def __init__(self, link: Link, protection: Protection | None, tally: Tally) -> None:
        self._link = link
        self._protection = protection
        self.tally = tally
        self.voids = Voids()
        """The known invalidations; empty without a secret."""

    def read(self) -> dict[str, bytes]:
        """Return the learned states by process id; broken ones are skipped.

        Raises:
            TierError: Chroma failed.
        """
        found = self._link.run_state(lambda states: states.get(include=["metadatas"]))
        kept: dict[str, bytes] = {}
        for process, record in zip(found["ids"], found["metadatas"], strict=True):
            if not isinstance(record, dict) or "state" not in record:
                continue  # an invalidation, or the position
            try:
                if self._protection is None:
                    kept[process] = b64decode(record["state"], validate=True)
                else:
                    kept[process] = self._protection.decode_state(process, record)
            except TamperedError:
                self.tally.tampered += 1
                self.tally.skipped += 1
            except (TypeError, ValueError):
                self.tally.skipped += 1
        return kept

    def write(self, process: str, state: bytes) -> None:
        """Store the learned state of a process, replacing its earlier one.

        Args:
            process: The process's id.
            state: Any bytes.

        Raises:
            TierError: Chroma failed.
        """
        if self._protection is None:
            record = {"state": b64encode(state).decode("ascii")}
        else:
            record = self._protection.encode_state(process, state)
        self._link.run_state(
            lambda states: states.upsert(ids=[process], embeddings=[[1.0]], metadatas=[record]),
            change=True,
        )

    def read_position(self) -> Position | None:
        """Return the stored position, or None if there is none that can be read.

        Raises:
            TierError: Chroma failed.
        """
        found = self._link.run_state(
            lambda states: states.get(ids=[_POSITION], include=["metadatas"])
        )
        for record in found["metadatas"]:
            try:
                if self._protection is None:
                    data = b64decode(record["position"], validate=True)
                else:
                    data = self._protection.decode_position(_POSITION, record)
                id_, number = json.loads(data)
                return Position(str(id_), int(number))
            except TamperedError:
                self.tally.tampered += 1
            except (KeyError, TypeError, ValueError):
                self.tally.skipped += 1
        return None

    def write_position(self, position: Position) -> None:
        """Store the position up to which the invalidations of other processes were followed.

        Raises:
            TierError: Chroma failed.
        """
        data = json.dumps(position).encode("ascii")
        if self._protection is None:
            record = {"position": b64encode(data).decode("ascii")}
        else:
            record = self._protection.encode_position(_POSITION, data)
        self._link.run_state(
            lambda states: states.upsert(ids=[_POSITION], embeddings=[[1.0]], metadatas=[record]),
            change=True,
        )

    def drop(self, processes: Sequence[str]) -> None:
        """Delete learned states.

        Raises:
            TierError: Chroma failed.
        """
        if processes:
            self._link.run_state(lambda states: states.delete(ids=list(processes)), change=True)

    def write_void(self, void: Voids) -> None:
        """Store an invalidation for other and later processes; needs a secret.

        It is stored with the learned state, apart from the rows: a restored row is older than it.
        An attacker who can write to Chroma can also delete it; then only processes that have read
        it before detect a restored row.

        Raises:
            TierError: Chroma failed.
        """
        self.voids.merge(void)
        if self._protection is None:
            return
        id_ = f"void-{uuid.uuid4().hex}"
        record = self._protection.encode_void(id_, void.dumps())
        self._link.run_state(
            lambda states: states.upsert(ids=[id_], embeddings=[[1.0]], metadatas=[record]),
            change=True,
        )

    def read_voids(self) -> None:
        """Read the stored invalidations; many are merged into one.

        Raises:
            TierError: Chroma failed.
        """
        protection = self._protection
        if protection is None:
            return
        found = self._link.run_state(lambda states: states.get(include=["metadatas"]))
        read: list[str] = []
        for id_, record in zip(found["ids"], found["metadatas"], strict=True):
            if not isinstance(record, dict) or "void" not in record:
                continue
            try:
                self.voids.merge(Voids.loads(protection.decode_void(id_, record)))
            except (TamperedError, TypeError, ValueError):
                self.tally.tampered += 1
            else:
                read.append(id_)
        if len(read) > _VOIDS:
            self.write_void(self.voids)
            self.drop(read)
