"""Publishing: tiles, bundles and checkpoints go to the object store, locked there.

Guarantees:
    * What is put was derived from the entries that the warden serves, and its root is
      the one that was signed: nothing that the database says of its tree is published.
    * Nothing that was published is ever overwritten with something else: octets that
      differ, a log that is shorter than what was published, and one that does not go
      on from it raise `TrailBrokenError`, again and again until a person comes.
    * A round may end anywhere: what was put is found again, and nothing is lost.
    * Objects are locked only where the store was seen to lock (`LockProof`).

Left to others: signatures of witnesses (`vault.auditor.witnessing`), time stamps
(`vault.auditor.stamping`), reading it all back (`vault.auditor.anchor_check`).

Spec: https://c2sp.org/tlog-tiles, docs/reference/formats/anchors.md
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.source import TrailSource
from vault.audit.tiles import TILE_WIDTH, TileName
from vault.audit.tiling import Tile, Tiling
from vault.auditor.anchors import Anchors, Kept, opened
from vault.auditor.memory import Memory
from vault.core.canonical import JsonObject, JsonValue
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TrailBrokenError,
)
from vault.objects.keys import ObjectKey
from vault.objects.locking import LockingStore, LockProof, put_small

_STEP: Final = 4096
"Entries after which the next signed size is looked for; what is held in memory."
_ASKED_FOR: Final = 512
_DAY_S: Final = 86_400
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingConfig:
    """How often, and for how long."""

    interval_s: float = 10.0
    "Seconds between rounds: the newest checkpoint is that old at most."
    lock_days: int = 365
    "For how long objects are locked; 0: not at all."
    keep_s: float = 60.0
    "Seconds between checkpoints that are kept and locked."
    heartbeat_s: float = 3600.0
    "Seconds after which partial tiles are locked, too, and all is put anew."


class Publishing:
    """Implements `vault.auditor.duties.Duty`."""

    name = "publishing"

    def __init__(
        self,
        trail: TrailSource,
        store: LockingStore,
        *,
        verifier: Verifier,
        memory: Memory,
        config: PublishingConfig,
        cosigned: Callable[[], str | None] = str,
        clock: Clock = system_clock_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Publish the log of *trail*.

        Args:
            trail: The log, by way of the warden.
            store: Where anchors lie.
            verifier: The log's public key.
            memory: How far this is.
            config: How often, and for how long.
            cosigned: Returns the newest note that witnesses have signed, too.
            clock: Time since the epoch, for locks.
            monotonic: Time that only passes, in seconds.
        """
        self._trail = trail
        self._store = store
        self._verifier = verifier
        self._memory = memory
        self._config = config
        self._cosigned = cosigned
        self._clock = clock
        self._monotonic = monotonic
        self._proof: LockProof | None = None
        self._anchors = Anchors(verifier.name)
        self._tiling: Tiling | None = None
        self._partial: tuple[str, ...] = ()
        self._newest = self._newest_cosigned = ""
        self._kept_at = self._beaten_at = -float("inf")
        self.kept: Kept | None = None
        "The newest checkpoint that is kept for good, since this process began."

    @property
    def interval_s(self) -> float:
        """See `Duty`."""
        return self._config.interval_s

    def facts(self) -> Mapping[str, JsonValue]:
        """See `vault.auditor.duties.Telling`."""
        proof, warning = self._proof, ""
        if proof is not None and not self._locks:
            why = proof.reason or "audit_lock_days is 0"
            warning = f"what is published can be deleted: {why}"
        return {
            "lock_days": self._config.lock_days,
            "locks": self._locks,
            "looked": proof is not None,
            "prefix": self._anchors.prefix,
            "size": self._tiling.size if self._tiling else 0,
            "warning": warning,
        }

    def run(self) -> None:
        """See `Duty`."""
        # 1. What does this store promise?  Seen, once for each start.
        if self._proof is None:
            self._proof = self._store.prove_lock()
        # 2. What was signed: by the log's own key, and of the log's own name.
        note = self._trail.checkpoint()
        signed = opened(self._verifier, note)
        if signed.origin != self._anchors.origin:
            self._forget(signed.origin)
        # 3. It goes on from what was published.
        tiling = self._tiling or self._resumed(signed)
        self._require_growth(tiling, signed)
        # 4. Full tiles, one signed size after the other.
        while tiling.size < signed.size:
            tiling = self._step(tiling, self._next_mark(tiling.size, signed, note))
        self._tiling = tiling
        # 5. The rest, and the checkpoint that says that all is there.
        self._put_newest(tiling, signed, note)
        self._put_cosigned(signed)

    @property
    def _locks(self) -> bool:
        proved = self._proof is not None and self._proof.locks
        return proved and self._config.lock_days > 0

    # ------------------------------------------------------------- going on

    def _forget(self, origin: str) -> None:
        """Begin with another log: the successor of one that a restore has cut."""
        self._anchors, self._tiling, self._newest = Anchors(origin), None, ""
        self._partial = ()
        self._kept_at = self._beaten_at = -float("inf")

    def _resumed(self, signed: Checkpoint) -> Tiling:
        self._require_goes_on_from_store(signed)
        members = self._memory.read()
        if members.get("origin") != signed.origin:
            return Tiling()
        size, partial = members.get("size"), members.get("partial")
        if not isinstance(size, int) or not 0 <= size <= signed.size:
            raise TrailBrokenError(
                f"the log has {signed.size} entries, and {size} were published"
            )
        if isinstance(partial, list):
            self._partial = tuple(map(str, partial))
        entries = self._trail.entries(size - size % TILE_WIDTH, size)
        return Tiling.resumed(members, entries)

    def _require_goes_on_from_store(self, signed: Checkpoint) -> None:
        """Check that the log goes on from the newest checkpoint in the store.

        Raises:
            TrailBrokenError: It does not: it is older, or another one.
        """
        try:
            note = self._store.read(self._anchors.newest).decode()
            earlier = opened(self._verifier, note)
        except NotFoundError:
            return
        except (UnicodeDecodeError, InvalidInputError):
            raise TrailBrokenError("the published checkpoint is none") from None
        if earlier.size > signed.size:
            raise TrailBrokenError(
                f"the log has {signed.size} entries, and {earlier.size} were published"
            )
        tree.verify_consistency(
            old_size=earlier.size,
            new_size=signed.size,
            old_root=earlier.root,
            new_root=signed.root,
            proof=(
                self._trail.consistency_proof(earlier.size, signed.size)
                if earlier.size < signed.size
                else []
            ),
        )

    def _require_growth(self, tiling: Tiling, signed: Checkpoint) -> None:
        if tiling.size > signed.size:
            raise TrailBrokenError(
                f"the log has {signed.size} entries, and {tiling.size} were published"
            )
        if tiling.size == signed.size and tiling.root() != signed.root:
            raise TrailBrokenError(f"two different logs of {signed.size} entries")

    def _next_mark(self, size: int, signed: Checkpoint, note: str) -> str:
        if signed.size - size <= _STEP:
            return note
        marks = self._trail.marks(size + _STEP, spacing=_STEP, below=signed.size)
        return next((mark for _, mark in marks), note)

    def _step(self, before: Tiling, note: str) -> Tiling:
        """Publish the full tiles up to the size that *note* was signed at."""
        signed = opened(self._verifier, note)
        tiling, tiles = before.copy(), list[Tile]()
        while tiling.size < signed.size:
            stop = min(signed.size, tiling.size + _ASKED_FOR)
            for entry in self._trail.entries(tiling.size, stop):
                tiles += tiling.append(entry)
        # Before anything is put: this is what was signed.
        if tiling.root() != signed.root:
            raise TrailBrokenError(
                f"entries {before.size} to {signed.size - 1} are not those that were "
                "signed"
            )
        for name, octets in tiles:
            self._put(self._anchors.tile(name), octets, locked=True)
        self._remember(tiling)
        return tiling

    # -------------------------------------------------------------- the edge

    def _put_newest(self, tiling: Tiling, signed: Checkpoint, note: str) -> None:
        now = self._monotonic()
        beats = now - self._beaten_at >= self._config.heartbeat_s
        if note == self._newest and not beats:
            return
        # 1. What the checkpoint speaks of, and then the checkpoint.
        names = [name for name, _ in tiling.partial()]
        for name, octets in tiling.partial():
            self._put(self._anchors.tile(name), octets, locked=beats)
        self._store.replace(self._anchors.newest, note.encode())
        # 2. Some are kept for good, at a bounded rate.
        often = self._config.keep_s if self._locks else self._config.heartbeat_s
        if now - self._kept_at >= often:
            self.keep(self._anchors.kept(signed.size), note.encode())
            self.kept = Kept(
                origin=signed.origin, size=signed.size, octets=note.encode()
            )
            self._kept_at = now
        # 3. Partial tiles that no newest checkpoint needs any more.
        self._drop_partial(names, keep=beats)
        self._remember(tiling)
        self._newest = note
        if beats:
            self._beaten_at = now

    def _put_cosigned(self, signed: Checkpoint) -> None:
        note = self._cosigned()
        if not note or note == self._newest_cosigned:
            return
        # Witnesses may not have seen a successor yet: theirs is of the log before.
        if Checkpoint.unverified(note).origin != signed.origin:
            return
        if opened(self._verifier, note).size <= signed.size:
            self._store.replace(self._anchors.cosigned, note.encode())
            self._newest_cosigned = note

    def _drop_partial(self, names: list[TileName], *, keep: bool) -> None:
        current = {str(name) for name in names}
        for old in self._partial:
            if old not in current:
                self._store.delete(self._anchors.tile(TileName.parse(old)))
        # Those that were locked stay: they are the evidence of this hour.
        self._partial = () if keep else tuple(sorted(current))

    def keep(self, key: ObjectKey, octets: bytes) -> None:
        """Put *octets* under *key* at most once, locked where the store locks.

        Raises:
            TrailBrokenError: Something else is there.
            StoreUnavailableError: Safe to retry.
        """
        self._put(key, octets, locked=True)

    def _put(self, key: ObjectKey, octets: bytes, *, locked: bool) -> None:
        try:
            if locked and self._locks:
                seconds = self._clock() // _SECOND_NS + self._config.lock_days * _DAY_S
                self._store.put_locked(key, octets, until_s=seconds)
            else:
                put_small(self._store, key, octets)
        except ConflictError:
            raise TrailBrokenError(
                f"the store holds something else as {key} than the log does"
            ) from None

    def _remember(self, tiling: Tiling) -> None:
        members: JsonObject = {
            **tiling.members(),
            "origin": self._anchors.origin,
            "partial": list(self._partial),
        }
        self._memory.write(members)
