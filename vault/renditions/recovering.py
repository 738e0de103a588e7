"""SRTP keys that came late: tried, sealed beside the capture, and put to use.

The tap keeps packets that fail authentication verbatim.  Whoever can name the key
later (the PBX's operator, who finds it in a log of the signalling) hands it in:

    1. data key          warden, purpose ``recover``: its leaf is durable before
    2. capture           read, its kept packets tried under the keys
    3. srtp/000n         the keys, sealed under the call's own key, and an addendum
    4. leaf              with their digest and how many packets they open
    5. row and wish      in one transaction; a worker makes the call anew

Guarantees:
    * Keys that open nothing are refused and change nothing; that is on the trail, too.
    * What can be played now can be played until its successor is there.
    * Keys handed in are never in a log, a leaf, an error or a plaintext file.

Left to others: making the call anew (`vault.renditions.worker`), who may hand keys in
(the warden's roles; the machine's own accounts).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vault.audit.entry import Action, Draft, Result
from vault.catalog.values import RecordingRow, StoredObject
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, GoneError, NotReadyError, SealBrokenError
from vault.core.flow import Caller, Purpose, Reason, RecordingState
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.renditions.deposit import AddendumKey, Deposit, Made
from vault.renditions.evidence import Evidence, read_manifest
from vault.renditions.interfaces import TapKeys
from vault.renditions.late_keys import LATE_KEYS, LateKeys
from vault.renditions.leaves import made_detail
from vault.renditions.reading import Call, CallReading
from vault.sealing.manifest import StreamCount
from vault.trust.interfaces import KeyRelease, Trail

MEDIA_TYPE: Final = "application/vnd.callvault.srtp-keys"

_SETTLED: Final = frozenset(
    {RecordingState.READY, RecordingState.PARTIAL, RecordingState.FAILED}
)
_GONE: Final = frozenset({RecordingState.EXPIRED, RecordingState.SHREDDED})


class Catalog(Protocol):
    """What this asks of the catalog; `vault.catalog.recordings` is one."""

    def row(self, recording_id: RecordingId) -> RecordingRow:
        """Return one recording, or raise `NotFoundError`."""
        ...

    def objects(self, recording_id: RecordingId) -> Mapping[str, StoredObject]:
        """Return the current objects of a recording by name."""
        ...

    def revise(
        self, recording_id: RecordingId, objects: Sequence[StoredObject]
    ) -> None:
        """Add *objects* and ask for the recording to be made anew."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What late keys did for a call, in packets."""

    recovered: int
    "That these keys open and none before them did."
    undecryptable: int
    "That still fail authentication."


class Recovery:
    """Hands late keys in, for one installation."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: ObjectStore,
        keys: KeyRelease,
        trail: Trail,
        signer: AddendumKey,
        tap_keys: TapKeys,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._keys = keys
        self._trail = trail
        self._signer = signer
        self._tap_keys = tap_keys
        self._clock = clock

    def hand_in(
        self,
        recording_id: RecordingId,
        late: LateKeys,
        *,
        caller: Caller,
        keep: Callable[[], None] = lambda: None,
    ) -> Opened:
        """Try *late* on what was kept of a call; use them if they open anything.

        Args:
            recording_id: Which call.
            late: The keys.
            caller: Who hands them in.
            keep: Called now and then while reading.

        Raises:
            NotFoundError: No such recording.
            NotReadyError: It is still being recorded or rendered.
            GoneError: It has expired or was shredded.
            ConflictError: There is nothing to open, or the keys open none of it.
            IntegrityError: The capture is damaged.
            AuditUnavailableError: No leaf: no data key, or nothing changed.
            UnavailableError: Nothing was changed; safe to retry.
        """
        row = self._catalog.row(recording_id)
        _refuse_unsettled(row)
        manifest = read_manifest(
            self._store,
            recording_id,
            sha256_hex=row.manifest_sha256,
            tap_keys=self._tap_keys,
        )
        key = self._keys.release(recording_id, caller=caller, purpose=Purpose.RECOVER)
        evidence = Evidence(self._store, recording_id, key=key)
        known = self._catalog.objects(recording_id)

        def read(*further: LateKeys) -> Call:
            reading = CallReading(manifest, evidence, known=known, keep=keep)
            call = reading.read([each for keys in further for each in keys.keys])
            if reading.damage:
                raise SealBrokenError(f"{reading.damage[0].name} is damaged")
            return call

        before, after = _counts(read()), _counts(read(late))
        opened = Opened(
            recovered=after.recovered - before.recovered,
            undecryptable=after.undecryptable,
        )
        if not opened.recovered:
            self._refuse(
                recording_id, opened, caller, _unmatched(late, manifest.streams)
            )
        self._put_to_use(recording_id, late, opened, key=key, caller=caller)
        return opened

    def _refuse(
        self, id: RecordingId, opened: Opened, caller: Caller, unmatched: str
    ) -> None:
        self._trail.append(
            Draft(
                action=Action.RECORDING_RECOVERED,
                caller=caller,
                result=Result.REFUSED,
                recording=id,
                reason=str(Reason.SRTP_UNAUTHENTICATED),
                detail={"count": opened.undecryptable},
            )
        )
        if not opened.undecryptable:
            raise ConflictError("no packet of this recording waits for a key")
        raise ConflictError(
            f"the keys open none of the {opened.undecryptable} packets that failed "
            f"authentication; nothing was changed{unmatched}"
        )

    def _put_to_use(
        self,
        id: RecordingId,
        late: LateKeys,
        opened: Opened,
        *,
        key: SecretBytes,
        caller: Caller,
    ) -> None:
        deposit = Deposit(
            self._store, id, key=key, signer=self._signer, clock=self._clock
        )
        try:
            made = deposit.put(
                LATE_KEYS, late.padded(), media_type=MEDIA_TYPE, sources={}
            )
            self._trail.append(_used(id, made, opened, caller))
        except BaseException:
            deposit.discard()
            raise
        self._catalog.revise(id, (made.object, made.addendum))


def _used(id: RecordingId, made: Made, opened: Opened, caller: Caller) -> Draft:
    return Draft(
        action=Action.RECORDING_RECOVERED,
        caller=caller,
        recording=id,
        detail={**made_detail(made), "count": opened.recovered},
    )


def _unmatched(late: LateKeys, streams: Sequence[StreamCount]) -> str:
    """Say which names of the file are no stream's; empty where all are."""
    numbered = [(each.stream, each.label) for each in streams]
    lost = sorted(
        {key.stream for key in late.keys if not any(key.fits(*one) for one in numbered)}
    )
    if not lost:
        return ""
    known = ", ".join(label for _, label in numbered)
    return f"; no stream is called {', '.join(lost)}: there are {known}"


def _counts(call: Call) -> Opened:
    return Opened(
        recovered=sum(each.recovered for each in call.streams),
        undecryptable=sum(each.undecryptable for each in call.streams),
    )


def _refuse_unsettled(row: RecordingRow) -> None:
    if row.state in _GONE:
        raise GoneError("the recording was erased")
    if row.state not in _SETTLED:
        raise NotReadyError("the recording is still being made")
