"""Bodies and answers about second factors, closed like all others.

Guarantees: what an authenticator says and what it is asked are JSON objects of Web
Authentication, passed on as they are; `vault.access.passkey_responses` reads them.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr

from vault.web.api.bodies import Body
from vault.web.api.shapes import Id, SessionShape, Shape, Time

Code: TypeAlias = Annotated[SecretStr, Field(min_length=1, max_length=64)]


class CodeBody(Body):
    """A one-time code, or a recovery code."""

    otp: Code


class NewPasskey(Body):
    """``POST /api/v1/factors/passkeys/confirmation``."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    credential: dict[str, object]


class ShownPasskey(Body):
    """What the browser's authenticator said."""

    credential: dict[str, object]


class AskedPasskey(Body):
    """``POST /api/v1/sessions/current/passkey``."""

    purpose: Literal["step-up", "unlock"]


class ProvedPasskey(AskedPasskey):
    """``POST /api/v1/sessions/current/passkey/confirmation``."""

    credential: dict[str, object]


class PasskeyShape(Shape):
    """A passkey as its owner sees it."""

    id: Id
    name: str
    created: Time
    used: Time | None = None


class TotpShape(Shape):
    """An authenticator app that counts."""

    created: Time


class FactorsShape(Shape):
    """What somebody has set up."""

    required: bool
    "Whether a role of theirs asks for a factor."
    totp: TotpShape | None = None
    passkeys: list[PasskeyShape]
    recovery_codes: Annotated[int, Field(ge=0)]
    session: SessionShape | None = None
    "The session, renewed: the first factor has made a half sign-in whole."


class TotpBegunShape(Shape):
    """What an authenticator app is told, once."""

    secret: str
    uri: str
    svg: str
    "A QR code of the URI."


class PasskeyAskedShape(Shape):
    """What a browser hands to its authenticator."""

    options: dict[str, object]
    "``PublicKeyCredentialCreationOptionsJSON``, or ``…RequestOptionsJSON``."


class RecoveryCodesShape(Shape):
    """Recovery codes, shown this once."""

    codes: list[str]
