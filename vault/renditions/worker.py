"""The render worker: takes a captured call, and leaves one that can be played.

Sequence for one call, each step repeatable:

    1. lease             catalog, so that no other worker starts on it
    2. manifest          digest of the row, signature of a tap in the roster
    3. data key          warden: its leaf is durable before the key is here
    4. objects           checked, rendered, sealed, stored, signed for
    5. sealed row        warden: metadata and search tokens
    6. leaves            trail: one for each object made, recovered or damaged
    7. row               catalog, in one transaction; the lease ends

Guarantees:
    * An outage of warden, store or database fails nothing: the call is given back
      and taken again.
    * No object counts before its leaf is durable and its row is committed.
    * A call that the renderer cannot stand is set aside after five attempts, and
      does not keep others waiting.
    * A call that is made anew because keys came late keeps what it has until
      everything new is there.

Left to others: what is made (`vault.renditions.finalise`), states
(`vault.catalog.states`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from vault.catalog.values import REVISION, RecordingRow, StoredObject
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    ConflictError,
    IntegrityError,
    SealBrokenError,
    ThrottledError,
    UnavailableError,
    VaultError,
)
from vault.core.flow import Purpose, Reason, RecordingState
from vault.core.ids import RecordingId
from vault.objects.interfaces import ObjectStore
from vault.renditions import flac
from vault.renditions.config import WorkerConfig
from vault.renditions.deposit import AddendumKey, Deposit, Made
from vault.renditions.evidence import CUT, MANIFEST, Evidence, read_manifest
from vault.renditions.finalise import Finalised, Finaliser
from vault.renditions.interfaces import Catalog, Stop, TapKeys
from vault.renditions.leaves import WORKER, finished_drafts, made_draft
from vault.renditions.reading import Damage
from vault.sealing.manifest import Manifest
from vault.trust.interfaces import (
    IndexToken,
    KeyRelease,
    RowKeys,
    SealedRow,
    Trail,
)

FINISHED = "renditions.call.finished"
CONVERTED = "renditions.call.converted"
REVISED = "renditions.call.revised"
GIVEN_BACK = "renditions.call.given-back"
OUTAGE = "renditions.outage"

_PLAYABLE = frozenset({RecordingState.READY, RecordingState.PARTIAL})
_SETTLED = _PLAYABLE | {RecordingState.FAILED}
_OUTAGES = (UnavailableError, ThrottledError)
_log = structlog.get_logger()


class RenderWorker:
    """Renders calls one after the other; several may run against one catalog."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: ObjectStore,
        keys: KeyRelease,
        rows: RowKeys,
        trail: Trail,
        signer: AddendumKey,
        tap_keys: TapKeys,
        config: WorkerConfig,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._keys = keys
        self._rows = rows
        self._trail = trail
        self._signer = signer
        self._tap_keys = tap_keys
        self._config = config
        self._clock = clock

    def run_forever(self, stop: Stop) -> None:
        """Work until *stop* is set; the call being rendered is finished first."""
        pause_s = self._config.idle_s
        while not stop.is_set():
            try:
                worked = self.run_once()
            except _OUTAGES as exc:
                _log.warning(OUTAGE, problem=type(exc).__name__, pause_s=pause_s)
                stop.wait(pause_s)
                pause_s = min(pause_s * 2, self._config.backoff_max_s)
                continue
            pause_s = self._config.idle_s
            if not worked:
                stop.wait(pause_s)

    def run_once(self) -> bool:
        """Do one piece of work.

        Returns:
            Whether there was any.

        Raises:
            UnavailableError, ThrottledError: Something is down; what was begun
                was given back.
        """
        row = self._catalog.claim_for_rendering(self._config.name, self._config.lease_s)
        if row is None:
            return False
        try:
            self._work(row)
        except _OUTAGES:
            self._give_back(row, counted=False, problem="outage")
            raise
        except ConflictError as exc:
            # Another worker has it, or finished it: its result counts.
            self._give_back(row, counted=True, problem=str(exc))
        except VaultError as exc:
            self._give_back(row, counted=True, problem=str(exc))
        except Exception as exc:  # noqa: BLE001 - the task ends here
            # Where the work on one call ends: a bug that this call brings out
            # must not stop the calls behind it.  The message may hold media.
            self._give_back(row, counted=True, problem=type(exc).__name__)
        return True

    def _give_back(self, row: RecordingRow, *, counted: bool, problem: str) -> None:
        _log.warning(GIVEN_BACK, recording=row.id, problem=problem, counted=counted)
        try:
            self._catalog.give_back(
                row.id,
                self._config.name,
                counted=counted,
                retry_after_s=self._config.idle_s if not counted else 30.0,
                reason=Reason.CODEC_UNSUPPORTED,
            )
        except VaultError:
            return  # the lease lapses by itself

    def _work(self, row: RecordingRow) -> None:
        wishes = tuple(each for each in row.wanted if each.startswith(REVISION))
        if wishes and row.state in _SETTLED:
            self._revise(row, wishes)
        elif row.state in _PLAYABLE:
            self._convert(row)
        else:
            self._finalise(row)

    # -- hang-up ----------------------------------------------------------

    def _finalise(self, row: RecordingRow) -> None:
        try:
            manifest, evidence, deposit = self._opened(row)
        except IntegrityError as exc:
            # Without manifest or key there is nothing that could be believed.
            damage = Damage(
                name=MANIFEST,
                expected_sha256=row.manifest_sha256 or "",
                problem=str(exc),
            )
            result = Finalised(
                state=RecordingState.FAILED,
                reason=Reason.STORE_DAMAGED,
                damage=(damage,),
            )
            self._write_down(row, result, (), None)
            return
        try:
            result = self._finaliser(row, manifest, evidence, deposit).finalise()
            sealed = self._sealed_row(result)
        except BaseException:
            deposit.discard()
            raise
        self._write_down(row, result, deposit.made, sealed)

    def _finaliser(
        self,
        row: RecordingRow,
        manifest: Manifest,
        evidence: Evidence,
        deposit: Deposit,
    ) -> Finaliser:
        return Finaliser(
            manifest,
            evidence,
            deposit,
            known=self._catalog.objects(row.id),
            keep=self._lease(row.id),
            mute_tones=self._config.mute_tones,
        )

    def _sealed_row(self, result: Finalised) -> "_SealedRow | None":
        if result.metadata is None:
            return None
        month = result.metadata.started[:7]
        row, tokens = self._rows.seal_row(
            result.metadata.recording_id, bytes(result.metadata), month=month
        )
        return _SealedRow(row=row, tokens=tokens, month=month)

    def _opened(self, row: RecordingRow) -> tuple[Manifest, Evidence, Deposit]:
        manifest = read_manifest(
            self._store,
            row.id,
            sha256_hex=row.manifest_sha256,
            tap_keys=self._tap_keys,
        )
        cut = any(each.name.endswith(CUT) for each in manifest.objects)
        key = self._keys.release(
            row.id,
            caller=WORKER,
            purpose=Purpose.RECOVER if cut else Purpose.RENDER,
        )
        evidence = Evidence(self._store, row.id, key=key)
        deposit = Deposit(
            self._store, row.id, key=key, signer=self._signer, clock=self._clock
        )
        return manifest, evidence, deposit

    def _write_down(
        self,
        row: RecordingRow,
        result: Finalised,
        made: Sequence[Made],
        sealed: "_SealedRow | None",
        *,
        fulfils: Sequence[str] = (),
    ) -> None:
        # The leaves come first: a row may only name what the trail knows.
        self._trail.append(*finished_drafts(row.id, result, made))
        self._catalog.finish(
            row.id,
            state=result.state,
            reason=result.reason,
            objects=_objects(made),
            metadata=sealed.row if sealed else None,
            tokens=sealed.tokens if sealed else (),
            duration_ms=result.duration_ms,
            month=sealed.month if sealed else None,
            summary=result.summary,
            worker=self._config.name,
            fulfils=fulfils,
        )
        _log.info(
            REVISED if fulfils else FINISHED,
            recording=row.id,
            state=str(result.state),
            reason=str(result.reason or ""),
            duration_ms=result.duration_ms,
        )

    # -- keys that came late ----------------------------------------------

    def _revise(self, row: RecordingRow, wishes: Sequence[str]) -> None:
        manifest, evidence, deposit = self._opened(row)
        try:
            result = self._made_anew(row, manifest, evidence, deposit)
        except BaseException:
            deposit.discard()
            raise
        self._write_down(row, result, deposit.made, None, fulfils=wishes)

    def _made_anew(
        self,
        row: RecordingRow,
        manifest: Manifest,
        evidence: Evidence,
        deposit: Deposit,
    ) -> Finalised:
        """Make what there is once more, in every format.

        Raises:
            SealBrokenError: The capture is damaged: what could be played before is
                worth more than what is left.
        """
        result = self._finaliser(row, manifest, evidence, deposit).finalise()
        if result.damage or result.state is RecordingState.FAILED:
            raise SealBrokenError("late keys give nothing that could be played")
        formats = {
            each.media_type
            for each in self._catalog.objects(row.id).values()
            if each.kind == "rendition"
        }
        for media_type in sorted(formats - {flac.MEDIA_TYPE}):
            again = self._finaliser(row, manifest, evidence, deposit)
            again.convert(media_type)
        return result

    # -- another format ---------------------------------------------------

    def _convert(self, row: RecordingRow) -> None:
        manifest, evidence, deposit = self._opened(row)
        finaliser = self._finaliser(row, manifest, evidence, deposit)
        try:
            for media_type in row.wanted:
                finaliser.convert(media_type)
        except BaseException:
            deposit.discard()
            raise
        made = tuple(deposit.made)
        self._trail.append(*(made_draft(row.id, each, row.state) for each in made))
        self._catalog.finish(
            row.id,
            state=row.state,
            reason=row.reason,
            objects=_objects(made),
            worker=self._config.name,
        )
        _log.info(CONVERTED, recording=row.id, formats=len(made))

    def _lease(self, recording_id: RecordingId) -> "_Lease":
        return _Lease(self._catalog, recording_id, self._config)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SealedRow:
    row: SealedRow
    tokens: Sequence[IndexToken]
    month: str


class _Lease:
    """Renews the lease on a recording when a third of it has passed."""

    def __init__(
        self, catalog: Catalog, recording_id: RecordingId, config: WorkerConfig
    ) -> None:
        self._catalog = catalog
        self._recording_id = recording_id
        self._config = config
        self._renewed_s = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._renewed_s < self._config.lease_s / 3:
            return
        self._catalog.renew(self._recording_id, self._config.name, self._config.lease_s)
        self._renewed_s = time.monotonic()


def _objects(made: Sequence[Made]) -> tuple[StoredObject, ...]:
    return tuple(each for one in made for each in (one.object, one.addendum))
