import pytest

from vault.core.flow import Document
from vault.recorder import documents
from vault.recorder.documents import seal_documents
from vault.recorder.session import Session
from vault.sealing.chunks import context
from vault.sealing.padding import unpad
from vault.sealing.reader import open_sealed
from vault.sealing.signalling import Signalling

XML = Document(kind="rs-metadata", octets=b"<recording/>\xff\x00")
NOW_NS = 1_795_414_569 * 10**9


def opened(session: Session, name: str) -> Signalling:
    plain = open_sealed(
        session.folder.read(name),
        key=session.dek,
        context=context(session.recording_id, name),
    )

    assert 0 == len(plain) % 256
    return Signalling.parse(unpad(plain))


def test_documents_of_a_message_are_one_sealed_object(session: Session) -> None:
    headers = Document(kind="invite-headers", octets=b"Call-ID: a\r\n")
    seal_documents(session, (XML, headers), now_ns=NOW_NS)
    seal_documents(session, (XML,), now_ns=NOW_NS)

    assert ["signalling/0001", "signalling/0002"] == session.folder.objects()
    assert (XML, headers) == opened(session, "signalling/0001").documents
    assert (
        "2026-11-23T06:16:09.000000000Z" == opened(session, "signalling/0002").received
    )
    for path in session.folder.path.iterdir():
        assert b"recording/" not in path.read_bytes()


def test_a_message_without_documents_writes_nothing(session: Session) -> None:
    seal_documents(session, (), now_ns=NOW_NS)

    assert [] == session.folder.objects()


@pytest.mark.parametrize("bound", ["MOST_MESSAGES", "MOST_OCTETS"])
def test_a_device_that_sends_without_end_fills_no_disk(
    session: Session, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    session.document_octets = 0
    monkeypatch.setattr(documents, bound, 3 * len(XML.octets))
    for _ in range(3 * len(XML.octets) + 1):
        seal_documents(session, (XML,), now_ns=NOW_NS)

    assert session.documents_dropped
    assert len(session.folder.objects()) <= 3 * len(XML.octets)
