"""What there is after a recovery, compared with what was promised before."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from scenario import (
    KEY,
    RECORDS,
    Ledger,
    record,
    recordings,
    spool_config,
)
from truth import Octets

from tests.simulators.recorder import PrivateKeys
from vault.core.errors import NotFoundError, VaultError
from vault.core.flow import RecordingState
from vault.core.ids import RecordingId
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey
from vault.sealing.chunks import context
from vault.sealing.envelope import Envelope
from vault.sealing.manifest import Manifest, verify_manifest
from vault.sealing.reader import open_sealed
from vault.sealing.unfinished import UnfinishedReader
from vault.sealing.unwrap import unwrap
from vault.spool.spool import Spool
from vault.tap.capture import parse_records

_LEFT_OVER = (".freed-", ".new")
_STARTED, _CAPTURED = "recording.started", "recording.captured"


def inconsistencies(place: Path, ledger: Ledger) -> dict[str, Any]:
    """Look at spool, stores, catalog and trail once everything should be settled."""
    look = _Look(place, ledger)
    look.spool()
    for recording_id in sorted({*ledger.answered, *look.in_store()}):
        try:
            look.recording(recording_id)
        except (VaultError, OSError, AssertionError) as error:
            look.states.append(f"{recording_id}: {error!r}"[:300])
    return {
        "unaccounted": look.unaccounted,
        "manifests_lost": look.manifests_lost,
        "states": look.states,
    }


class _Look:
    def __init__(self, place: Path, ledger: Ledger) -> None:
        self._place, self._ledger = place, ledger
        self._media = DirectoryStore(place / "media")
        self._envelopes = DirectoryStore(place / "envelopes")
        self._recordings = recordings(place)
        self.unaccounted = 0
        self.manifests_lost = 0
        self.states: list[str] = []
        "What cannot be, in words."

    def in_store(self) -> set[RecordingId]:
        """Return of what the store holds anything."""
        return {RecordingId(str(key).split("/")[0]) for key in self._media.keys()}  # noqa: SIM118 - no mapping

    def spool(self) -> None:
        """Nothing waits in it, and nothing is half there."""
        spool = Spool(spool_config(self._place))
        for recording_id in spool.recordings():
            self.states.append(f"{recording_id} is still in the spool")
        for path in (self._place / "spool").rglob("*"):
            if path.name.startswith(_LEFT_OVER[0]) or path.name.endswith(_LEFT_OVER[1]):
                self.states.append(f"left over: {path.name}")

    def recording(self, recording_id: RecordingId) -> None:
        """It is in the store, whole, once, and everywhere the same."""
        manifest = self._manifest(recording_id)
        if manifest is None:
            self.unaccounted += recording_id in self._ledger.answered
            self.manifests_lost += recording_id in self._ledger.ended
            if recording_id not in self._ledger.answered:
                self.states.append(f"{recording_id}: objects and no manifest")
            return
        acked = self._ledger.ended.get(recording_id)
        self.manifests_lost += acked is not None and manifest.how.value != acked
        self._objects(recording_id, manifest)
        self._captures(recording_id, manifest)
        row = self._recordings.row(recording_id)
        if row.state != RecordingState.CAPTURED:
            self.states.append(f"{recording_id}: its row says {row.state}")
        told = [
            action
            for action, about in self._ledger.leaves.values()
            if about == recording_id
        ]
        # Leaves come at least once: who dies before its step is told tells it again.
        if recording_id in self._ledger.answered and _STARTED not in told:
            self.states.append(f"{recording_id}: no leaf of its start")
        if _CAPTURED not in told:
            self.states.append(f"{recording_id}: no leaf of its end")

    def _manifest(self, recording_id: RecordingId) -> Manifest | None:
        key = ObjectKey.of(recording_id, "manifest")
        with contextlib.suppress(NotFoundError):
            return verify_manifest(self._media.read(key), {KEY.name: KEY.public})
        return None

    def _objects(self, recording_id: RecordingId, manifest: Manifest) -> None:
        signed = {one.name for one in manifest.objects} | {"manifest"}
        stored = {
            str(key).partition("/")[2] for key in self._media.keys(f"{recording_id}/")
        }
        if stored != signed:
            self.states.append(f"{recording_id}: stored {stored}, signed {signed}")
        for one in manifest.objects:
            octets = self._media.read(ObjectKey.of(recording_id, one.name))
            if hashlib.sha256(octets).digest() != one.sha256:
                self.states.append(f"{recording_id}: {one.name} is not what was signed")

    def _captures(self, recording_id: RecordingId, manifest: Manifest) -> None:
        key = ObjectKey.of(recording_id, "envelope")
        envelope = Envelope.parse(self._envelopes.read(key))
        dek = unwrap(envelope, recording_id, PrivateKeys())
        sealed = self._ledger.sealed.get(recording_id, {})
        found: dict[int, bytes] = {}
        for one in manifest.objects:
            if not one.name.startswith("capture/"):
                continue
            octets = self._media.read(ObjectKey.of(recording_id, one.name))
            part = int(one.name.removesuffix(".cut")[-4:])
            bound = context(recording_id, one.name.removesuffix(".cut"))
            if one.name.endswith(".cut"):
                reader = UnfinishedReader(Octets(octets), key=dek, context=bound)
                chunks = [reader.chunk(n) for n in range(one.chunks)]
                found[part] = b"".join(chunks)
            else:
                found[part] = open_sealed(octets, key=dek, context=bound)
            if one.chunks < sealed.get(str(part), 0):
                self.states.append(f"{recording_id}: {one.name} lost chunks")
        whole = recording_id in self._ledger.whole
        for part, octets in found.items():
            if not _is_fed(part, octets, whole=whole):
                self.states.append(f"{recording_id}: part {part} is not what was fed")
        if len(found) < len(sealed):
            # An empty one is none: nothing of it was ever written.
            lost = [one for one in sealed if sealed[one] and int(one) not in found]
            self.states += [f"{recording_id}: part {one} is gone" for one in lost]


def _is_fed(part: int, octets: bytes, *, whole: bool) -> bool:
    """Return whether *octets* are what was fed, from one packet on; all if *whole*."""
    records = list(parse_records(octets))
    if not records:
        return record(part, 0).startswith(octets)
    # A part that follows one that failed begins where that one ended.
    first = records[0].arrival_ns
    fed = b"".join(record(part, number) for number in range(first, RECORDS))
    return octets == fed if whole else fed.startswith(octets)
