"""What a PBX sent beside the media, word for word: sealed as ``signalling/0001``.

Canonical JSON (RFC 8785) with each document in base64, padded and sealed; one object
for what came with one message.

Guarantees: reading and writing are inverses, octet for octet; nothing of it is ever
in a log.

Left to others: sealing and padding (`vault.sealing.chunks`, `vault.sealing.padding`),
what is in a document.

Spec: docs/reference/formats/signalling.md
"""

from dataclasses import dataclass
from typing import Final, Self

from vault.core import canonical
from vault.core.flow import Document
from vault.core.ids import RecordingId
from vault.sealing.members import Members, to_base64

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalling:
    """Documents of one message; ``bytes()`` gives canonical JSON, not padded."""

    recording_id: RecordingId
    received: str
    "RFC 3339, UTC."
    documents: tuple[Document, ...]
    v: int = _VERSION

    def __bytes__(self) -> bytes:
        return canonical.dumps(
            {
                "v": self.v,
                "recording_id": self.recording_id,
                "received": self.received,
                "documents": [
                    {"kind": one.kind, "octets": to_base64(one.octets)}
                    for one in self.documents
                ],
            }
        )

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read what was kept, already opened and unpadded.

        Raises:
            SealBrokenError: Not as we write it.
        """
        members = Members.parse(octets, of="signalling")
        members.version(_VERSION)
        found = cls(
            recording_id=members.recording_id(),
            received=members.time("received"),
            documents=tuple(_document(each) for each in members.each("documents")),
        )
        members.end()
        return found


def _document(members: Members) -> Document:
    found = Document(kind=members.text("kind"), octets=members.base64_octets("octets"))
    members.end()
    return found
