from typing import Any

import pytest

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.core.flow import Document
from vault.core.ids import new_recording_id
from vault.sealing.signalling import Signalling

KEPT = Signalling(
    recording_id=new_recording_id(),
    received="2026-11-23T06:16:09Z",
    documents=(
        Document(kind="rs-metadata", octets=b"<recording>J\xfcrgen\0</recording>"),
        Document(kind="invite-headers", octets=b""),
    ),
)


def test_documents_are_read_octet_for_octet() -> None:
    assert KEPT == Signalling.parse(bytes(KEPT))


def test_a_repr_shows_no_octet() -> None:
    assert "rgen" not in repr(KEPT)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"received": "yesterday"},
        {"documents": [{"kind": "x"}]},
        {"documents": [{"kind": "x", "octets": "?"}]},
        {"more": 1},
    ],
)
def test_what_we_did_not_write_is_refused(change: dict[str, Any]) -> None:
    members = {**canonical.parse(bytes(KEPT)), **change}

    with pytest.raises(SealBrokenError):
        Signalling.parse(canonical.dumps(members))
