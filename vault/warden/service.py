"""What the warden does for a call: leaf first, then the deed.

Guarantees:
    * No key, no metadata and no token leaves before its leaf is durable, and
      none leaves if that took longer than the call's two seconds.
    * A refusal by role or rate, a missing envelope and a seal that does not open
      leave a leaf, too.
    * Private keys, catalog keys and the index key are never in an answer.

Left to others: sockets (`vault.warden.connection`), order and durability of
leaves (`vault.warden.writer`), who may see which recording (`vault.access`).

Spec: docs/explanation/warden.md
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vault.audit.entry import Action, Draft, Result
from vault.audit.source import LogSource
from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.clock import NS_PER_S, Clock, month_of, system_clock_ns
from vault.core.errors import (
    AccessDeniedError,
    ConflictError,
    DatabaseUnavailableError,
    InvalidInputError,
    KeyUnavailableError,
    NotFoundError,
    SealBrokenError,
    ThrottledError,
    VaultError,
)
from vault.core.ids import RecordingId
from vault.sealing.envelope import Envelope
from vault.sealing.keyring import catalog_key_id
from vault.sealing.unwrap import unwrap
from vault.trust import answers
from vault.trust import messages as m
from vault.trust.interfaces import IndexToken, SealedRow, WardenHealth
from vault.warden import roles, rows
from vault.warden.index import FIELDS, BlindIndex, searchable
from vault.warden.interfaces import EnvelopeReader, SealedRows, VaultKeys
from vault.warden.journal import say
from vault.warden.leaves import LeafMaker, text_key
from vault.warden.own_drafts import (
    damaged_row,
    refusal_by_role,
    release_draft,
    texts_draft,
)
from vault.warden.rates import ReleaseRates, Verdict
from vault.warden.reading import TrailDesk
from vault.warden.roles import Role
from vault.warden.texts import TextDesk
from vault.warden.writer import LeafWriter

EVENT_RELEASE_ALARM: Final = "warden.release.alarm"
EVENT_TEXTS_ALARM: Final = "warden.texts.alarm"
EVENT_LATE_ENTRY_AGAIN: Final = "warden.append.again"
VIA_WARDEN: Final = "warden"

_ANSWER_BUDGET_BYTES: Final = 900_000
"Octets of base64 that an answer of rows may hold: below a frame's 1 MiB."

_CLOCK_SKEW_NS: Final = 24 * 3600 * NS_PER_S
"How far a tap's clock may run ahead of ours."


@dataclass(frozen=True, slots=True, kw_only=True)
class WardenParts:
    """What a warden is made of."""

    keys: VaultKeys
    envelopes: EnvelopeReader
    rows: SealedRows
    trail: LogSource
    "The log, to be read: on connections that nothing is written through."
    clock: Clock = system_clock_ns
    "Wall clock of the leaves."
    monotonic: Callable[[], float] = time.monotonic
    "Seconds; the clock of deadlines and rates."


class WardenService:
    """Answers requests; thread-safe."""

    def __init__(self, parts: WardenParts, writer: LeafWriter) -> None:
        """Use *parts*, and write every leaf with *writer*."""
        self._keys = parts.keys
        self._envelopes = parts.envelopes
        self._rows = parts.rows
        self.trail = TrailDesk(parts.trail)
        self._writer = writer
        self._monotonic = parts.monotonic
        self._clock = parts.clock
        self._rates = ReleaseRates(parts.monotonic)
        self._text_rates = ReleaseRates(parts.monotonic)
        self._index = BlindIndex(parts.keys.index_key)
        key = text_key(parts.keys.index_key)
        self._texts = TextDesk(parts.trail, key)
        self._leaves = LeafMaker(text_key=key, clock=parts.clock)

    def health(self) -> WardenHealth:
        """Say how the log feels, from memory."""
        return self._writer.health()

    def answer(
        self, role: Role, request: m.Request, *, deadline_s: float
    ) -> JsonObject:
        """Do what *request* asks for, or raise.

        Args:
            role: Of the connection that it came over.
            request: Parsed, and nothing else checked.
            deadline_s: Monotonic second by which its leaf must be durable.

        Raises:
            AccessDeniedError: The role does not cover it.
            AuditUnavailableError: No durable leaf in time; nothing was done.
            VaultError: As `vault.trust.interfaces` says for each call.
        """
        call = _Call(
            role=role, deadline_s=deadline_s, maker=self._leaves, writer=self._writer
        )
        try:
            roles.check(role, request)
        except AccessDeniedError as denied:
            call.leaf(refusal_by_role(role, request))
            raise AccessDeniedError(str(denied)) from None
        answered: JsonObject
        match request:
            case m.AppendRequest():
                answered = self._append(call, request)
            case m.ReleaseRequest():
                answered = self._release(call, request)
            case m.OpenRowsRequest():
                answered = self._open_rows(call, request)
            case m.SealRowRequest():
                answered = self._seal_row(request)
            case m.TokensRequest():
                answered = self._tokens(call, request)
            case m.TextsRequest():
                answered = self._open_texts(call, request)
            case m.HealthRequest():
                answered = answers.health_answer(self.health())
            case _:
                answered = self.trail.answer(request)
        return answered

    def append_own(self, *drafts: Draft, within_s: float = m.TIMEOUT_S) -> None:
        """Append what the warden itself did, durable *within_s* seconds.

        Raises:
            AuditUnavailableError: It took longer, or the log does not work.
        """
        deadline_s = self._monotonic() + within_s
        leaves = [self._leaves.leaf(draft, via=VIA_WARDEN) for draft in drafts]
        self._writer.append(leaves, deadline_s=deadline_s)

    # --------------------------------------------------------------- append

    def _append(self, call: "_Call", request: m.AppendRequest) -> JsonObject:
        try:
            call.leaf(*request.drafts)
        except ConflictError:
            self._append_again(call, request.drafts)
        return {}

    def _append_again(self, call: "_Call", drafts: Sequence[Draft]) -> None:
        """Append what is not there yet.

        A tap that got no answer in time delivers its late entries again, and
        (source, seq) says that they are there.  That is success for the tap: it
        asked for them to be durable.
        """
        for draft in drafts:
            try:
                call.leaf(draft)
            except ConflictError:
                if not draft.source:
                    raise
                say(
                    "info",
                    EVENT_LATE_ENTRY_AGAIN,
                    source=draft.source,
                    seq=draft.source_seq,
                )

    # -------------------------------------------------------------- release

    def _release(self, call: "_Call", request: m.ReleaseRequest) -> JsonObject:
        # 1. The role may name this purpose and this kind of actor: `roles.check`.
        # 2. The actor has not had too many keys within the hour.
        _check_rate(
            call,
            self._rates,
            release_draft(request, result=Result.REFUSED, reason="throttled"),
            EVENT_RELEASE_ALARM,
        )
        # 3. There is an envelope.  Reading it opens nothing, and a leaf that
        #    said "released" for a shredded recording would be a false one.
        envelope = self._envelope(call, request)
        # 4. The leaf is durable, in time; else this raises and there is no key.
        call.leaf(release_draft(request))
        # 5. Unwrap: the only line of the vault that makes a data key readable.
        try:
            key = unwrap(Envelope.parse(envelope), request.recording_id, self._keys)
        except VaultError as exc:
            reason = "seal-broken" if isinstance(exc, SealBrokenError) else "no-key"
            call.leaf(release_draft(request, result=Result.FAILED, reason=reason))
            raise
        # 6. The answer is the caller's lease.  Opening took milliseconds after
        #    the leaf; whoever gave up meanwhile drops the answer.
        return answers.key_answer(key)

    def _envelope(self, call: "_Call", request: m.ReleaseRequest) -> bytes:
        try:
            return self._envelopes.read(request.recording_id)
        except NotFoundError:
            call.leaf(
                release_draft(request, result=Result.REFUSED, reason="no-envelope")
            )
            raise
        except DatabaseUnavailableError as exc:
            raise KeyUnavailableError(f"the envelope cannot be read: {exc}") from None

    # ----------------------------------------------------------------- rows

    def _open_rows(self, call: "_Call", request: m.OpenRowsRequest) -> JsonObject:
        # 1. What there is, still sealed; as much as one answer carries.
        sealed = self._rows.sealed(request.recordings)
        chosen, rest = _fitting(request.recordings, sealed)
        # 2. The leaf: how many, and for a single one which.
        alone = request.recordings[0] if len(request.recordings) == 1 else ""
        call.leaf(
            Draft(
                action=Action.RECORDING_ROWS_OPENED,
                caller=request.caller,
                recording=alone,
                detail={"rows": len(chosen)},
            )
        )
        # 3. Open.  One damaged row must not blind a whole page: it is left out
        #    and the trail says so; asked for alone, it raises.
        opened: dict[RecordingId, bytes] = {}
        for id in chosen:
            try:
                opened[id] = self._open_row(id, sealed[id])
            except (SealBrokenError, KeyUnavailableError):
                call.leaf(damaged_row(request.caller, id))
                if alone:
                    raise
        return answers.OpenedRows(rows=opened, rest=rest).members()

    def _open_row(self, id: RecordingId, row: SealedRow) -> bytes:
        catalog_key = self._keys.catalog_key(row.key_id)
        return rows.open_row(row, id, catalog_key=catalog_key)

    def _seal_row(self, request: m.SealRowRequest) -> JsonObject:
        """Seal metadata for its row; without a leaf of its own.

        Nothing becomes readable by it: the worker that asks holds this very
        metadata, and the leaf that gave it the recording's key is on the trail.
        Tokens are made of nothing but the metadata that is sealed.
        """
        metadata = _parsed_metadata(request)
        self._check_month(request.month)
        self._keys.ensure_month(request.month)
        key_id = catalog_key_id(request.month)
        sealed = rows.seal(
            request.metadata,
            request.recording_id,
            catalog_key=self._keys.catalog_key(key_id),
            key_id=key_id,
        )
        tokens: dict[IndexToken, None] = {}
        for field, value in searchable(metadata):
            token = self._index.token(field=field, value=value, month=request.month)
            if token is not None:
                made = IndexToken(field=field, month=request.month, token=token)
                tokens[made] = None
        return answers.sealed_row_answer(sealed, tuple(tokens))

    def _check_month(self, month: str) -> None:
        # Keys are made for months that have begun: one for the year 9999 would
        # be "the newest" for every tap that looks for a recipient.
        if month > month_of(self._clock() + _CLOCK_SKEW_NS):
            raise InvalidInputError("the month has not begun")

    # ---------------------------------------------------------------- texts

    def _open_texts(self, call: "_Call", request: m.TextsRequest) -> JsonObject:
        # 1. The role may act for this kind of actor: `roles.check`.
        # 2. They have not read too many within the hour; what is not there counts.
        throttled = texts_draft(request, result=Result.REFUSED, reason="throttled")
        _check_rate(call, self._text_rates, throttled, EVENT_TEXTS_ALARM)
        # 3. There is something; nothing is opened yet.
        kept = self._texts.find(request.index)
        # 4. The leaf: who reads which entry, never what it says.
        call.leaf(texts_draft(request, kept))
        # 5. Open.
        try:
            texts = self._texts.open(kept)
        except VaultError:
            call.leaf(
                texts_draft(request, kept, result=Result.FAILED, reason="seal-broken")
            )
            raise
        return answers.texts_answer(texts)

    # --------------------------------------------------------------- tokens

    def _tokens(self, call: "_Call", request: m.TokensRequest) -> JsonObject:
        # 1. The terms make sense: a value that is empty would match nothing.
        if request.field not in FIELDS or not FIELDS[request.field](request.value):
            raise InvalidInputError("nothing to search for")
        # 2. The leaf: which field, over how many months, never what.
        call.leaf(
            Draft(
                action=Action.RECORDING_SEARCHED,
                caller=request.caller,
                detail={"fields": request.field, "count": len(request.months)},
            )
        )
        # 3. The tokens.
        found: dict[str, bytes] = {}
        for month in request.months:
            token = self._index.token(
                field=request.field, value=request.value, month=month
            )
            if token is not None:
                found[month] = token
        return answers.tokens_answer(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call while it runs: whose it is and until when its leaves count."""

    role: Role
    deadline_s: float
    maker: LeafMaker
    writer: LeafWriter

    def leaf(self, *drafts: Draft) -> None:
        """Append *drafts* and return when they are durable, in time."""
        leaves = [self.maker.leaf(draft, via=str(self.role)) for draft in drafts]
        self.writer.append(leaves, deadline_s=self.deadline_s)


def _check_rate(call: _Call, rates: ReleaseRates, throttled: Draft, alarm: str) -> None:
    """Count one more deed of an actor, unless the role is not limited.

    Args:
        call: Whose it is.
        rates: What counts such deeds.
        throttled: The leaf of a refusal; its caller is who is counted.
        alarm: The event that says that there were many.

    Raises:
        ThrottledError: There were too many within the hour.
    """
    if not roles.PERMITS[call.role].limited:
        return
    actor = str(throttled.caller.actor)
    verdict = rates.count(actor)
    if verdict is Verdict.ADMITTED_WITH_ALARM:
        say("warning", alarm, actor=actor, via=str(call.role))
    if verdict is Verdict.REFUSED:
        call.leaf(throttled)
    if verdict in (Verdict.REFUSED, Verdict.REFUSED_AGAIN):
        raise ThrottledError(
            "too much was opened within an hour",
            retry_after_s=rates.retry_after_s(actor),
        )


def _fitting(
    wanted: Sequence[RecordingId], sealed: Mapping[RecordingId, SealedRow]
) -> tuple[list[RecordingId], tuple[RecordingId, ...]]:
    """Split what exists into what one answer carries, and the rest."""
    existing = [id for id in wanted if id in sealed]
    size = 0
    for place, id in enumerate(existing):
        size += len(sealed[id].sealed) * 4 // 3 + len(id) + 8
        if size > _ANSWER_BUDGET_BYTES and place:
            return existing[:place], tuple(existing[place:])
    return existing, ()


def _parsed_metadata(request: m.SealRowRequest) -> JsonObject:
    metadata = canonical.parse(request.metadata)
    if metadata.get("recording_id") != request.recording_id:
        raise InvalidInputError("the metadata is another recording's")
    return metadata
