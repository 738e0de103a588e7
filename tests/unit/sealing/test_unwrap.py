from dataclasses import replace
from typing import Any

import pytest

from vault.core.errors import KeyUnavailableError, SealBrokenError
from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing import xwing
from vault.sealing.envelope import (
    ALG_XWING,
    SUITE,
    Envelope,
    WrappedKey,
    new_dek,
    wrap,
    wrap_info,
)
from vault.sealing.unwrap import unwrap


def test_the_data_key_comes_back_for_its_recording(
    holder: Any, recording_id: RecordingId
) -> None:
    dek = new_dek()

    assert dek == unwrap(
        wrap(dek, recording_id, holder.recipients()), recording_id, holder
    )


def test_every_recipient_opens_it(
    holder: Any, new_holder: Any, recording_id: RecordingId
) -> None:
    other, dek = new_holder(), new_dek()

    envelope = wrap(dek, recording_id, holder.recipients() + other.recipients())

    assert dek == unwrap(envelope, recording_id, holder)
    assert dek == unwrap(envelope, recording_id, other)


class TestSwaps:
    """Every field of an envelope, taken from another recording's, is refused."""

    @pytest.fixture
    def mine(self, holder: Any, recording_id: RecordingId) -> Envelope:
        return wrap(new_dek(), recording_id, holder.recipients())

    @pytest.fixture
    def theirs(self, holder: Any) -> Envelope:
        return wrap(new_dek(), new_recording_id(), holder.recipients())

    def test_the_whole_envelope(
        self, theirs: Envelope, recording_id: RecordingId, holder: Any
    ) -> None:
        with pytest.raises(SealBrokenError, match="another recording"):
            unwrap(theirs, recording_id, holder)

    def test_the_recording_id(
        self, theirs: Envelope, recording_id: RecordingId, holder: Any
    ) -> None:
        renamed = replace(theirs, recording_id=recording_id)

        with pytest.raises(SealBrokenError, match="does not open"):
            unwrap(renamed, recording_id, holder)

    def test_all_recipients(
        self, mine: Envelope, theirs: Envelope, holder: Any
    ) -> None:
        spliced = replace(mine, recipients=theirs.recipients)

        with pytest.raises(SealBrokenError):
            unwrap(spliced, mine.recording_id, holder)

    @pytest.mark.parametrize("field", ["ct", "kid", "alg"])
    def test_one_field_of_a_recipient(
        self,
        field: str,
        mine: Envelope,
        new_holder: Any,
    ) -> None:
        holder, other = new_holder(), new_holder()
        both = type(holder)(holder.seeds | other.seeds)
        mine = wrap(new_dek(), mine.recording_id, holder.recipients())
        theirs = wrap(new_dek(), new_recording_id(), other.recipients())
        value = getattr(theirs.recipients[0], field)
        swapped = replace(mine.recipients[0], **{field: value})
        spliced = replace(mine, recipients=(swapped,))

        if field == "alg":  # the same word in both: nothing was swapped
            assert mine == spliced
            return
        with pytest.raises(SealBrokenError):
            unwrap(spliced, mine.recording_id, both)

    def test_the_suite(self, mine: Envelope) -> None:
        with pytest.raises(SealBrokenError):
            Envelope.parse(bytes(replace(mine, suite="COBBLESTONE-128")))

    def test_an_entry_wrapped_for_another_recipient_under_this_kid(
        self, recording_id: RecordingId, new_holder: Any
    ) -> None:
        one, two = new_holder(), new_holder()
        both = type(one)(one.seeds | two.seeds)
        first, second = wrap(
            new_dek(), recording_id, one.recipients() + two.recipients()
        ).recipients
        swapped = (replace(first, ct=second.ct), replace(second, ct=first.ct))
        envelope = Envelope(recording_id=recording_id, suite=SUITE, recipients=swapped)

        with pytest.raises(SealBrokenError):
            unwrap(envelope, recording_id, both)


def test_any_flipped_octet_of_a_wrapped_key_is_refused(
    holder: Any, recording_id: RecordingId
) -> None:
    envelope = wrap(new_dek(), recording_id, holder.recipients())
    wrapped = envelope.recipients[0]

    for at in [*range(0, len(wrapped.ct), 97), len(wrapped.ct) - 1]:
        ct = bytearray(wrapped.ct)
        ct[at] ^= 1
        damaged = replace(envelope, recipients=(replace(wrapped, ct=bytes(ct)),))
        with pytest.raises(SealBrokenError):
            unwrap(damaged, recording_id, holder)


@pytest.mark.parametrize("keep", [0, 1, 1119, 1120, 1121, 1167])
def test_a_truncated_wrapped_key_is_refused(
    keep: int, holder: Any, recording_id: RecordingId
) -> None:
    envelope = wrap(new_dek(), recording_id, holder.recipients())
    wrapped = envelope.recipients[0]
    cut = replace(envelope, recipients=(replace(wrapped, ct=wrapped.ct[:keep]),))

    with pytest.raises(SealBrokenError):
        unwrap(cut, recording_id, holder)


def test_a_key_that_is_not_here_is_unavailable_and_not_broken(
    holder: Any, new_holder: Any, recording_id: RecordingId
) -> None:
    envelope = wrap(new_dek(), recording_id, holder.recipients())

    with pytest.raises(KeyUnavailableError):
        unwrap(envelope, recording_id, new_holder())


def test_one_damaged_entry_does_not_stop_the_others(
    holder: Any, recording_id: RecordingId
) -> None:
    dek = new_dek()
    envelope = wrap(dek, recording_id, holder.recipients())
    good = envelope.recipients[0]
    envelope = replace(envelope, recipients=(replace(good, ct=bytes(1168)), good))

    assert dek == unwrap(envelope, recording_id, holder)


def test_what_opens_and_is_no_data_key_is_refused(
    holder: Any, recording_id: RecordingId
) -> None:
    recipient = holder.recipients()[0]
    ct = xwing.SUITE.encrypt(
        b"short",
        xwing.public_key(recipient.public_key),
        wrap_info(recording_id, recipient.kid),
    )
    wrapped = WrappedKey(alg=ALG_XWING, kid=recipient.kid, ct=ct)
    envelope = Envelope(recording_id=recording_id, suite=SUITE, recipients=(wrapped,))

    with pytest.raises(SealBrokenError, match="not a data key"):
        unwrap(envelope, recording_id, holder)


def test_a_data_key_shows_itself_nowhere(
    holder: Any, recording_id: RecordingId
) -> None:
    dek = SecretBytes(b"\x5a" * 32)

    opened = unwrap(wrap(dek, recording_id, holder.recipients()), recording_id, holder)

    assert "Z" not in repr(opened) + f"{opened}" + str(opened)
