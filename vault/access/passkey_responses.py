"""What a browser sends of a passkey, checked by py_webauthn: no I/O.

Guarantees:
    * Whatever octets come in, the answer is a value or `InvalidInputError`; nothing of
      them is in the message.
    * User verification is insisted on, and the response was made for the relying
      party, the origin and the challenge that are expected, by no frame of another
      site.

Left to others: where challenges come from and that each counts once, the counter
(`vault.access.passkeys`).

Spec: Web Authentication Level 3, sections 7.1 and 7.2
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from webauthn.helpers import (
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AttestationFormat, CredentialDeviceType

from vault.core.errors import InvalidInputError

JsonObject = Mapping[str, object]

_MAX_ID_BYTES: Final = 1023
"Web Authentication Level 3, section 4, “Credential ID”."

_MAX_KEY_BYTES: Final = 1024
"An RSA key of 4,096 bits has about half of that."

# We ask for none.  An authenticator may sign its own all the same ("packed"); the
# other forms lead into parsers of certificates and TPM structures for nothing.
_FORMATS: Final = frozenset({AttestationFormat.NONE, AttestationFormat.PACKED})

# What the library lets through of its own and of the parsers below it.
_HOSTILE: Final = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)
_REFUSED: Final = "the passkey was not accepted"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a response must have been made for."""

    origin: str
    rp_id: str
    challenge: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    """What is kept of a passkey."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """Whose passkey a response claims to be of; nothing is checked yet."""

    credential_id: bytes
    user_handle: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """What a checked response says."""

    sign_count: int
    is_single_device: bool
    "Whether the key can't leave its authenticator."


def registered(response: JsonObject, expected: Expected) -> NewPasskey:
    """Check a response to ``navigator.credentials.create``.

    Raises:
        InvalidInputError: It is not one for what is *expected*.

    Spec: Web Authentication Level 3, section 7.1
    """

    def check() -> NewPasskey:
        credential = parse_registration_credential_json(dict(response))
        said = credential.response
        _refuse_frames(said.client_data_json)
        if parse_attestation_object(said.attestation_object).fmt not in _FORMATS:
            raise ValueError("an attestation that was not asked for")
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=expected.challenge,
            expected_rp_id=expected.rp_id,
            expected_origin=expected.origin,
            require_user_verification=True,
        )
        if (
            len(found.credential_id) > _MAX_ID_BYTES
            or len(found.credential_public_key) > _MAX_KEY_BYTES
            or found.credential_id != credential.raw_id
        ):
            raise ValueError("not the id or the key of a passkey")
        return NewPasskey(
            credential_id=found.credential_id,
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            transports=tuple(sorted({str(one.value) for one in said.transports or ()})),
        )

    return _kept_apart(check)


def assertion_of(response: JsonObject) -> Assertion:
    """Read whose passkey a response to ``navigator.credentials.get`` is of.

    Raises:
        InvalidInputError: It is no such response.
    """

    def check() -> Assertion:
        credential = parse_authentication_credential_json(dict(response))
        return Assertion(
            credential_id=credential.raw_id,
            user_handle=credential.response.user_handle,
        )

    return _kept_apart(check)


def asserted(response: JsonObject, expected: Expected, public_key: bytes) -> Asserted:
    """Check a response to ``navigator.credentials.get``, but for its counter.

    Args:
        response: As the browser sent it.
        expected: What it must have been made for.
        public_key: Of the passkey, as it was kept.

    Raises:
        InvalidInputError: It is not one for what is *expected*, by that key.

    Spec: Web Authentication Level 3, section 7.2
    """

    def check() -> Asserted:
        credential = parse_authentication_credential_json(dict(response))
        _refuse_frames(credential.response.client_data_json)
        found = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=expected.challenge,
            expected_rp_id=expected.rp_id,
            expected_origin=expected.origin,
            credential_public_key=public_key,
            # Compared and set in one statement of the database, by the caller.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
        return Asserted(
            sign_count=found.new_sign_count,
            is_single_device=found.credential_device_type
            is CredentialDeviceType.SINGLE_DEVICE,
        )

    return _kept_apart(check)


def _refuse_frames(client_data_json: bytes) -> None:
    # No page of ours may be framed; one that says it was is not ours.
    if parse_client_data_json(client_data_json).cross_origin:
        raise ValueError("made in a frame of another site")


def _kept_apart(check: Callable[[], _T]) -> _T:
    try:
        return check()
    except _HOSTILE:
        raise InvalidInputError(_REFUSED) from None
