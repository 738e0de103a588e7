from dataclasses import replace
from typing import Any

import pytest

from vault.core import canonical
from vault.core.errors import NoRecipientKeyError, SealBrokenError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing.envelope import (
    Envelope,
    new_dek,
    wrap,
    wrap_info,
    xwing_recipient,
)


def test_reading_and_writing_are_inverses(
    holder: Any, new_holder: Any, recording_id: RecordingId
) -> None:
    recipients = holder.recipients() + new_holder().recipients()

    envelope = wrap(new_dek(), recording_id, recipients)

    assert envelope == Envelope.parse(bytes(envelope))
    assert [each.kid for each in recipients] == [
        each.kid for each in envelope.recipients
    ]


def test_data_keys_are_fresh() -> None:
    assert new_dek() != new_dek()
    assert len(new_dek()) == 32


def test_nobody_to_wrap_for_is_refused(recording_id: RecordingId) -> None:
    with pytest.raises(NoRecipientKeyError):
        wrap(new_dek(), recording_id, [])


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "RSA-OAEP-256"},
        {"kid": "00" * 16},
        {"public_key": bytes(1216)},
        {"public_key": b""},
    ],
)
def test_a_recipient_that_cannot_be_wrapped_for_is_refused(
    change: dict[str, Any], holder: Any, recording_id: RecordingId
) -> None:
    recipient = replace(holder.recipients()[0], **change)

    with pytest.raises(NoRecipientKeyError):
        wrap(new_dek(), recording_id, [recipient])


def test_a_key_that_is_no_data_key_is_a_bug(
    holder: Any, recording_id: RecordingId
) -> None:
    with pytest.raises(ValueError):
        wrap(SecretBytes(bytes(16)), recording_id, holder.recipients())


def test_what_is_no_public_key_becomes_no_recipient() -> None:
    with pytest.raises(SealBrokenError):
        xwing_recipient(b"short")


def test_the_binding_names_recording_and_recipient() -> None:
    recording_id = RecordingId("12345678-9abc-4def-8123-456789abcdef")

    expected = b"callvault/v1\0dek\0" + bytes.fromhex(recording_id.replace("-", ""))

    assert expected + bytes(range(16)) == wrap_info(
        recording_id, bytes(range(16)).hex()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": "1"},
        {"suite": "COBBLESTONE-128"},
        {"recording_id": "12345678-9ABC-4DEF-8123-456789ABCDEF"},
        {"recipients": []},
        {"recipients": {}},
        {"recipients": [{"alg": "HPKE-XWING", "kid": "00", "ct": ""}]},
        {"recipients": [{"alg": "HPKE-XWING", "kid": "00" * 16}]},
        {"extra": 1},
    ],
)
def test_an_envelope_that_we_did_not_write_is_refused(
    change: dict[str, Any], holder: Any, recording_id: RecordingId
) -> None:
    envelope = wrap(new_dek(), recording_id, holder.recipients())
    members = canonical.parse(bytes(envelope))

    with pytest.raises(SealBrokenError):
        Envelope.parse(canonical.dumps({**members, **change}))
