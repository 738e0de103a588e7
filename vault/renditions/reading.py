"""One captured call, read from its first part to its last.

    manifest ─► parts ─► packets ─► legs ─► timeline
                  │         ▲
                  │         └─ late keys (srtp/0001, …)
                  └─ .cut ─► .recovered

Guarantees:
    * A damaged object costs that object; what else there is, is read and the damage
      is named.
    * Of a ``.cut`` part only what verifies is read, up to its last whole record; it
      is sealed again before anything is made from it.

Left to others: the proof of each object (`vault.renditions.evidence`), what is made of
a call (`vault.renditions.finalise`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vault.catalog.values import StoredObject
from vault.core.errors import IntegrityError
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.deposit import RECOVERED, Deposit
from vault.renditions.evidence import CUT, Evidence, Expected
from vault.renditions.late_keys import LATE_KEYS, LateKey, LateKeys
from vault.renditions.mixdown import Timeline, timeline_of
from vault.renditions.packets import CaptureReader, PartSpan, StreamPackets
from vault.renditions.pauses import LeftOut
from vault.sealing.manifest import Manifest
from vault.sealing.metadata import SessionMetadata
from vault.sealing.sides import sides_of
from vault.tap.capture import whole_size

Keep = Callable[[], None]
"Called now and then while working: holds the lease, or raises."


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """An object that is missing or not what it has to be."""

    name: str
    expected_sha256: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """What a capture holds."""

    streams: tuple[StreamPackets, ...]
    timeline: Timeline
    pauses: tuple[LeftOut, ...]
    parts: tuple[PartSpan, ...]
    cut_bytes: int
    "Octets of records that the end of a part cut off."
    sources: Mapping[str, bytes]
    "Name → SHA-256 of every object that was read."


class CallReading:
    """Reads one call; `damage` and `recovered` tell what was found on the way."""

    def __init__(
        self,
        manifest: Manifest,
        evidence: Evidence,
        *,
        known: Mapping[str, StoredObject],
        keep: Keep,
        deposit: Deposit | None = None,
    ) -> None:
        """Take what `read_manifest` proved.

        Args:
            manifest: Of the call.
            evidence: Its objects.
            known: Current objects by the catalog: what earlier attempts recovered,
                and late keys.
            keep: Holds the lease.
            deposit: Where what verifies of a cut part is sealed again; None leaves
                that to whoever renders the call.
        """
        self._manifest = manifest
        self._evidence = evidence
        self._known = known
        self._keep = keep
        self._deposit = deposit
        self.damage: list[Damage] = []
        self.recovered: dict[str, str] = {}
        "Name of a recovered part → SHA-256 of the ``.cut`` object it stands for."

    def read(
        self,
        further: Sequence[LateKey] = (),
        *,
        metadata: SessionMetadata | None = None,
    ) -> Call:
        """Return the call, with what its late keys and *further* ones open.

        Who is on which channel is what *metadata* says, where it is given.

        Raises:
            UnavailableError: Safe to retry.
        """
        sources: dict[str, bytes] = {}
        keys = (*self._late_keys(sources), *further)
        reader = CaptureReader(DeferredDecryption(keys))
        for one in self._manifest.objects:
            if not one.name.startswith("capture/"):
                continue
            expected = Expected.of(one)
            try:
                for block in self._plaintext(expected):
                    self._keep()
                    reader.feed(block)
                sources[one.name] = one.sha256
            except IntegrityError as exc:
                self.damaged(expected, exc)
            reader.end_part(one.name)
        streams = reader.finish()
        audio = {each.stream for each in streams if each.media == "audio"}
        return Call(
            streams=streams,
            timeline=timeline_of(
                streams,
                sides_of(metadata) if metadata else {},
                until_ns=reader.pauses.silent_until_ns(audio),
            ),
            pauses=tuple(reader.pauses.spans),
            parts=tuple(reader.parts),
            cut_bytes=reader.cut_bytes,
            sources=sources,
        )

    def damaged(self, expected: Expected, exc: IntegrityError) -> None:
        """Note that an object is not what it has to be."""
        self.damage.append(
            Damage(
                name=expected.name,
                expected_sha256=expected.sha256.hex(),
                problem=str(exc),
            )
        )

    def _late_keys(self, sources: dict[str, bytes]) -> Iterator[LateKey]:
        for name, stored in sorted(self._known.items()):
            if stored.kind != LATE_KEYS:
                continue
            expected = _made_earlier(stored)
            try:
                keys = LateKeys.unpadded(self._evidence.small(expected))
            except IntegrityError as exc:
                self.damaged(expected, exc)
            else:
                sources[name] = expected.sha256
                yield from keys.keys

    def _plaintext(self, part: Expected) -> Iterator[bytes]:
        if not part.name.endswith(CUT):
            yield from self._evidence.stream(part)
            return
        earlier = self._known.get(part.name.removesuffix(CUT) + RECOVERED)
        if earlier is not None:
            yield from self._evidence.stream(_made_earlier(earlier))
            return
        yield self._recover(part)

    def _recover(self, part: Expected) -> bytes:
        """Seal again what verifies of a ``.cut`` part, up to its last whole record."""
        octets = self._evidence.rescue(part)
        whole = octets[: whole_size(octets)]
        if whole and self._deposit is not None:
            made = self._deposit.put_recovered(
                part.name.removesuffix(CUT), whole, sources={part.name: part.sha256}
            )
            self.recovered[made.object.name] = part.sha256.hex()
        return whole


def _made_earlier(stored: StoredObject) -> Expected:
    return Expected(
        name=stored.name, size=stored.size, sha256=bytes.fromhex(stored.sha256)
    )
