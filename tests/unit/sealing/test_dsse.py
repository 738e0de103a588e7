import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.sealing import dsse

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNED = dsse.sign(b"payload", payload_type="text/x", key=KEY, keyid="tap")


def test_the_pre_authentication_encoding_is_the_specification_s() -> None:
    """The example of the DSSE protocol page."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"

    assert expected == dsse.pae("http://example.com/HelloWorld", b"hello world")


def test_a_trusted_signature_gives_signer_and_payload() -> None:
    assert dsse.verify(SIGNED, payload_type="text/x", keys={"tap": PUBLIC}) == (
        "tap",
        b"payload",
    )


def test_anyone_with_the_public_key_can_check_it() -> None:
    document = json.loads(SIGNED)

    KEY.public_key().verify(
        base64.b64decode(document["signatures"][0]["sig"]),
        b"DSSEv1 6 text/x 7 payload",
    )


def test_another_type_is_refused() -> None:
    with pytest.raises(SealBrokenError):
        dsse.verify(SIGNED, payload_type="text/y", keys={"tap": PUBLIC})


def test_a_document_relabelled_as_another_type_is_refused() -> None:
    document = canonical.parse(SIGNED) | {"payloadType": "text/y"}

    with pytest.raises(SealBrokenError, match="signature"):
        dsse.verify(
            canonical.dumps(document), payload_type="text/y", keys={"tap": PUBLIC}
        )


@pytest.mark.parametrize(
    "keys", [{}, {"other": PUBLIC}, {"tap": bytes(32)}, {"tap": b"short"}]
)
def test_a_signer_who_is_not_trusted_is_refused(keys: dict[str, bytes]) -> None:
    with pytest.raises(SealBrokenError):
        dsse.verify(SIGNED, payload_type="text/x", keys=keys)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "cGF5bG9hZA"},
        {"payload": "UGF5bG9hZA=="},
        {"signatures": []},
        {"signatures": [{"keyid": "tap", "sig": ""}]},
        {"signatures": [{"keyid": "tap", "sig": "eA==", "cert": ""}]},
        {"more": 1},
    ],
)
def test_an_altered_document_is_refused(change: dict[str, canonical.JsonValue]) -> None:
    document = canonical.parse(SIGNED) | change

    with pytest.raises(SealBrokenError):
        dsse.verify(
            canonical.dumps(document), payload_type="text/x", keys={"tap": PUBLIC}
        )


def test_two_signatures_are_refused_even_if_both_are_good() -> None:
    document = json.loads(SIGNED)
    document["signatures"] *= 2

    with pytest.raises(SealBrokenError):
        dsse.verify(
            canonical.dumps(document), payload_type="text/x", keys={"tap": PUBLIC}
        )
