"""From sealed capture to sealed media: one call, once through.

    capture ─► timeline ─► FLAC, peaks, certificate ─► store, addenda

Guarantees:
    * Plaintext stays in memory: with all copies about 280 MB for an hour of two legs.
    * A damaged part costs that part; the rest is rendered and called partial.
    * Nothing is written into catalog or trail here, so any failure can be repeated.

Left to others: reading the capture (`vault.renditions.reading`); lease, leaves and
row (`vault.renditions.worker`).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from vault.catalog.values import StoredObject
from vault.core.errors import IntegrityError, InvalidInputError, SealBrokenError
from vault.core.flow import Reason, RecordingState, StreamStatus
from vault.renditions import flac, m4a, peaks, quality
from vault.renditions.deposit import Deposit
from vault.renditions.evidence import Evidence, Expected
from vault.renditions.reading import Call, CallReading, Damage, Keep
from vault.renditions.tones import ToneMuter
from vault.renditions.verdict import judge
from vault.sealing.manifest import Manifest
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import unpad

_WRITERS: Final[Mapping[str, type[flac.FlacWriter] | type[m4a.M4aWriter]]] = {
    flac.MEDIA_TYPE: flac.FlacWriter,
    m4a.MEDIA_TYPE: m4a.M4aWriter,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalised:
    """What became of one call."""

    state: RecordingState
    reason: Reason | None
    duration_ms: int | None = None
    summary: tuple[StreamStatus, ...] | None = None
    metadata: SessionMetadata | None = None
    damage: tuple[Damage, ...] = ()
    recovered: Mapping[str, str] = field(default_factory=dict)
    "Name of a recovered part → SHA-256 of the ``.cut`` object it stands for."


class Finaliser:
    """Makes everything that one call gets at hang-up."""

    def __init__(
        self,
        manifest: Manifest,
        evidence: Evidence,
        deposit: Deposit,
        *,
        known: Mapping[str, StoredObject],
        keep: Keep,
        mute_tones: bool = False,
    ) -> None:
        """Take what `read_manifest` proved.

        Args:
            manifest: Of the call.
            evidence: Its objects.
            deposit: Where to put what is made.
            known: Current objects by the catalog: what earlier attempts recovered,
                and late keys.
            keep: Holds the lease.
            mute_tones: Whether DTMF tones are not to be heard.
        """
        self._mute_tones = mute_tones
        self._manifest = manifest
        self._evidence = evidence
        self._deposit = deposit
        self._keep = keep
        self._reading = CallReading(
            manifest, evidence, known=known, keep=keep, deposit=deposit
        )

    def finalise(self) -> Finalised:
        """Render the call and describe the result.

        Raises:
            UnavailableError: Safe to retry; what was stored is not named anywhere.
        """
        metadata = self._metadata()
        call = self._reading.read(metadata=metadata)
        verdict = judge(
            call.streams,
            self._manifest.streams,
            how=self._manifest.how,
            damaged=bool(self._reading.damage),
        )
        self._certify(call)
        return Finalised(
            state=verdict.state,
            reason=verdict.reason,
            duration_ms=call.timeline.duration_ms,
            summary=quality.summary(call.streams, self._manifest.streams, call.timeline)
            or None,
            metadata=metadata,
            damage=tuple(self._reading.damage),
            recovered=self._reading.recovered,
        )

    def convert(self, media_type: str) -> None:
        """Make one more format of a call that was finalised before.

        Raises:
            InvalidInputError: A format that we do not make.
            IntegrityError: The capture is damaged: what there is stays.
            UnavailableError: Safe to retry.
        """
        if media_type not in _WRITERS:
            raise InvalidInputError("not a format that renditions have")
        metadata, newest = None, self._newest_session()
        # Damaged, it costs the order of the channels and not the audio.
        with suppress(IntegrityError):
            metadata = None if newest is None else self._opened(newest)
        call = self._reading.read(metadata=metadata)
        if self._reading.damage:
            raise SealBrokenError(f"{self._reading.damage[0].name} is damaged")
        writer = _WRITERS[media_type](channels=len(call.timeline.channels))
        for block in call.timeline.blocks(self._muter(call)):
            self._keep()
            writer.write(block)
        self._deposit.put(
            "rendition", writer.finish(), media_type=media_type, sources=call.sources
        )

    def _metadata(self) -> SessionMetadata | None:
        """Return the newest session metadata, or None where it is damaged."""
        newest = self._newest_session()
        if newest is None:
            return None
        try:
            return self._opened(newest)
        except IntegrityError as exc:
            self._reading.damaged(newest, exc)
            return None

    def _opened(self, session: Expected) -> SessionMetadata:
        """Return session metadata.

        Raises:
            IntegrityError: It is damaged, or another recording's.
        """
        metadata = SessionMetadata.parse(unpad(self._evidence.small(session)))
        if metadata.recording_id != self._manifest.recording_id:
            raise SealBrokenError("the session metadata is another recording's")
        return replace(metadata, ended=metadata.ended or self._manifest.ended)

    def _newest_session(self) -> Expected | None:
        objects = [o for o in self._manifest.objects if o.name.startswith("session/")]
        if not objects:
            return None
        return Expected.of(max(objects, key=lambda each: each.name))

    def _muter(self, call: Call) -> ToneMuter | None:
        return ToneMuter(len(call.timeline.channels)) if self._mute_tones else None

    def _certify(self, call: Call) -> None:
        """Make and store rendition, peaks and certificate."""
        labels = [each.label for each in call.timeline.channels]
        drawn = peaks.PeaksWriter(labels=labels)
        muter = self._muter(call)
        if call.timeline.samples:
            audio = flac.FlacWriter(channels=len(labels))
            for block in call.timeline.blocks(muter):
                self._keep()
                drawn.write(block)
                audio.write(block)
            self._deposit.put(
                "rendition",
                audio.finish(),
                media_type=flac.MEDIA_TYPE,
                sources=call.sources,
            )
            self._deposit.put(
                "peaks",
                drawn.finish(origin_ns=call.timeline.origin_ns),
                media_type=peaks.MEDIA_TYPE,
                sources=call.sources,
            )
        self._deposit.put(
            "quality",
            quality.certificate(
                self._manifest.recording_id,
                manifest=self._manifest,
                streams=call.streams,
                timeline=call.timeline,
                peaks=drawn,
                cut_bytes=call.cut_bytes,
                parts=call.parts,
                pauses=call.pauses,
                muter=muter,
            ),
            media_type=quality.MEDIA_TYPE,
            sources=call.sources,
        )
