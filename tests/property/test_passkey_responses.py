"""Whatever a browser sends as a passkey, it is read or refused, and never more."""

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.passkey_device import PasskeyDevice, decoded, encoded
from vault.access.passkey_responses import (
    Expected,
    asserted,
    assertion_of,
    registered,
)
from vault.core.errors import InvalidInputError

EXPECTED = Expected(
    origin="https://vault.example", rp_id="vault.example", challenge=b"c" * 32
)
CREATION = {
    "challenge": encoded(EXPECTED.challenge),
    "rp": {"id": "vault.example"},
    "user": {"id": encoded(b"u" * 16)},
}
REQUEST = {"challenge": encoded(EXPECTED.challenge), "rpId": "vault.example"}
DEVICE = PasskeyDevice()
MADE = DEVICE.create(CREATION)
SHOWN = DEVICE.get(REQUEST)
KEY = registered(MADE, EXPECTED).public_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
MEMBERS = st.sampled_from(
    [
        "clientDataJSON",
        "attestationObject",
        "authenticatorData",
        "signature",
        "userHandle",
        "transports",
    ]
)


def read(response: Any) -> None:
    for check in (
        lambda: registered(response, EXPECTED),
        lambda: assertion_of(response),
        lambda: asserted(response, EXPECTED, KEY),
    ):
        with suppress(InvalidInputError):
            check()


def test_the_samples_are_accepted() -> None:
    assert asserted(SHOWN, EXPECTED, KEY).sign_count == 1
    assert assertion_of(SHOWN).credential_id == DEVICE.credential_id


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=6))
def test_any_object_is_refused(response: dict[str, Any]) -> None:
    read(response)


@given(st.sampled_from([MADE, SHOWN]), MEMBERS, JSON)
def test_any_value_of_a_member_is_read_or_refused(
    sample: dict[str, Any], member: str, value: Any
) -> None:
    response = copy.deepcopy(sample)
    response["response"][member] = value
    read(response)


@settings(max_examples=300)
@given(
    st.sampled_from([MADE, SHOWN]),
    MEMBERS,
    st.integers(0, 400),
    st.binary(max_size=6),
    st.integers(0, 8),
)
def test_octets_that_were_changed_are_read_or_refused(
    sample: dict[str, Any], member: str, at: int, new: bytes, cut: int
) -> None:
    response = copy.deepcopy(sample)
    text = response["response"].get(member)
    if isinstance(text, str):
        octets = decoded(text)
        response["response"][member] = encoded(octets[:at] + new + octets[at + cut :])
    read(response)


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_signature_with_one_changed_octet_is_refused(at: int, flip: int) -> None:
    response = copy.deepcopy(SHOWN)
    octets = bytearray(decoded(response["response"]["signature"]))
    octets[at] ^= flip
    response["response"]["signature"] = encoded(bytes(octets))

    with pytest.raises(InvalidInputError):
        asserted(response, EXPECTED, KEY)
