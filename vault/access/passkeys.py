"""Passkeys: possession and the person's own verification, in one gesture.

    browser ──begin──> challenge, and a ceremony in its cookie
       │                 └ for one purpose, and one person or whoever it turns out
       └──finish─────> verified once; the passkey's counter only ever grows

Guarantees:
    * The authenticator has verified its user (PIN, finger, face), each time: one
      passkey is two factors.
    * A response counts for the challenge that we made, for this purpose, this person
      and this browser, and once; from an origin that the installation is reached
      under, and no other.
    * A counter that did not grow is refused: there may be a copy of the passkey.
    * Of an authenticator we ask no attestation, and keep its public key alone.

Left to others: the cookie and HTTP (`vault.web`), who may add or remove one
(`vault.access.factors`), counting failures and leaves (the caller's room).

Spec: Web Authentication Level 3, sections 7.1 and 7.2; RFC 8176
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import webauthn
from sqlalchemy import Connection, Engine, Row, insert, or_, select, update
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    options_to_json_dict,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from vault.access.ceremonies import TTL_S, Ceremonies, Ceremony, CeremonyKind
from vault.access.factor_rows import (
    FactorChange,
    FactorKind,
    Tell,
    hold,
    insist_on_first,
)
from vault.access.names import checked_title
from vault.access.passkey_responses import (
    Asserted,
    Expected,
    JsonObject,
    asserted,
    assertion_of,
    registered,
)
from vault.access.relying_party import RelyingParties, RelyingParty
from vault.access.tables import PASSKEY
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    ConflictError,
    FactorRefusedError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
)
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

MAX_PASSKEYS: Final = 20
"Of one person."

COUNTER_BACK: Final = "counter-back"
NOT_VERIFIED: Final = "not-verified"

_RP_NAME: Final = "Callvault"
_TIMEOUT_MS: Final = TTL_S * 1000
_REFUSED: Final = "the passkey was not accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyListed:
    """A passkey as its owner sees it in a list."""

    id: str
    name: str
    created_ns: int
    used_ns: int | None
    "Last use; None if never."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyBegun:
    """What the browser hands to its authenticator, and what it keeps for us."""

    options: Mapping[str, object]
    "Members of ``PublicKeyCredential…OptionsJSON``."
    secret: str = field(repr=False)
    "Of the ceremony: for an HttpOnly cookie."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyUsed:
    """Somebody whose passkey was checked just now."""

    user_id: UserId
    passkey_id: str
    methods: tuple[str, ...]
    "As RFC 8176 names it: ``hwk`` or ``swk``, ``user``, ``mfa``."


class Passkeys:
    """The passkeys in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        ceremonies: Ceremonies,
        *,
        origins: Collection[str],
        clock: Clock = system_clock_ns,
    ) -> None:
        """Take what the installation is reached under.

        Args:
            engine: The catalog database.
            ceremonies: In the same database.
            origins: As browsers spell them: ``https://vault.example:8443``.
            clock: In nanoseconds since the epoch.
        """
        self._engine = engine
        self._ceremonies = ceremonies
        self._parties = RelyingParties(origins)
        self._clock = clock

    def are_offered_at(self, host: str) -> bool:
        """Whether browsers that reach us as *host* can have passkeys."""
        return self._parties.knows(host)

    def begin_adding(self, user_id: UserId, account: str, host: str) -> PasskeyBegun:
        """Ask a browser to make a passkey.

        Args:
            user_id: Whose.
            account: The name that the authenticator shows.
            host: Of the request, as the browser spells it.

        Raises:
            ConflictError: Not under this host, or the person has enough of them.
        """
        party = self._parties.of(host)
        mine = self._rows(user_id)
        if len(mine) >= MAX_PASSKEYS:
            raise ConflictError(f"one person has at most {MAX_PASSKEYS} passkeys")
        options = webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=_RP_NAME,
            user_name=account,
            # No name and no address: whoever holds the authenticator can read it.
            user_id=_handle(user_id),
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(mine),
        )
        return self._begun(CeremonyKind.PASSKEY_ADD, options, party, user_id)

    def finish_adding(
        self,
        user_id: UserId,
        secret: str,
        response: JsonObject,
        name: str,
        *,
        tell: Tell,
        is_first: bool = False,
    ) -> PasskeyListed:
        """Keep the passkey that a browser made.

        Args:
            user_id: Whose.
            secret: Of the ceremony.
            response: What the browser's authenticator said.
            name: What its owner calls it.
            tell: Writes it to the trail.
            is_first: Whether it may only be the first factor of this person.

        Raises:
            NotAuthenticatedError: The ceremony is over, or another one.
            InvalidInputError: Not what was asked for, or not a name.
            ConflictError: It is known already, or the person has enough of them.
            SecondFactorRequiredError: Another one is set up, against *is_first*.
        """
        listed = PasskeyListed(
            id=new_id(),
            name=checked_title(name),
            created_ns=self._clock(),
            used_ns=None,
        )
        ceremony = self._ceremonies.finish(
            secret, CeremonyKind.PASSKEY_ADD, user_id=user_id
        )
        made = registered(response, _expected(ceremony))
        with transaction(self._engine) as connection:
            hold(connection, user_id)
            if is_first:
                insist_on_first(connection, user_id)
            _insist_on_room(connection, user_id, made.credential_id)
            connection.execute(
                insert(PASSKEY).values(
                    id=listed.id,
                    credential_id=made.credential_id,
                    user_id=user_id,
                    public_key=made.public_key,
                    sign_count=made.sign_count,
                    name=listed.name,
                    transports=" ".join(made.transports),
                    created_ns=listed.created_ns,
                )
            )
            tell(FactorChange(kind=FactorKind.PASSKEY, id=listed.id, name=listed.name))
        return listed

    def begin_proof(
        self, kind: CeremonyKind, host: str, *, user_id: UserId | None = None
    ) -> PasskeyBegun:
        """Ask a browser to show a passkey.

        Args:
            kind: For what.
            host: Of the request, as the browser spells it.
            user_id: Whose it must be; None where it will tell who it is.

        Raises:
            ConflictError: Not under this host.
            NotFoundError: The person has none.
        """
        party = self._parties.of(host)
        mine = self._rows(user_id) if user_id is not None else []
        if user_id is not None and not mine:
            raise NotFoundError("no passkey")
        options = webauthn.generate_authentication_options(
            rp_id=party.id,
            timeout=_TIMEOUT_MS,
            allow_credentials=_descriptors(mine),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return self._begun(kind, options, party, user_id)

    def finish_proof(
        self,
        kind: CeremonyKind,
        secret: str,
        response: JsonObject,
        *,
        user_id: UserId | None = None,
    ) -> PasskeyUsed:
        """Check the passkey that a browser showed, and use up its challenge.

        Raises:
            NotAuthenticatedError: The ceremony is over, or another one; nobody's
                passkey.
            FactorRefusedError: Somebody's passkey, and not accepted.
        """
        # 1. The challenge counts once, whatever comes of it.
        ceremony = self._ceremonies.finish(secret, kind, user_id=user_id)
        # 2. Whose passkey it claims to be, and whether that is whom we asked.
        try:
            claimed = assertion_of(response)
        except InvalidInputError:
            raise NotAuthenticatedError(_REFUSED) from None
        row = self._find(claimed.credential_id)
        if row is None or (user_id is not None and row.user_id != user_id):
            raise NotAuthenticatedError(_REFUSED)
        owner = UserId(row.user_id)
        # 3. Where nobody was asked for, the authenticator must say who it is.
        told = claimed.user_handle
        if told != _handle(owner) and (told is not None or user_id is None):
            raise FactorRefusedError(_REFUSED, user_id=owner, reason=NOT_VERIFIED)
        # 4. Signature, challenge, origin, relying party, user verification.
        try:
            said = asserted(response, _expected(ceremony), row.public_key)
        except InvalidInputError:
            raise FactorRefusedError(
                _REFUSED, user_id=owner, reason=NOT_VERIFIED
            ) from None
        # 5. Its counter has grown, or it has none.
        if not self._advance(row.id, said):
            raise FactorRefusedError(_REFUSED, user_id=owner, reason=COUNTER_BACK)
        return PasskeyUsed(
            user_id=owner,
            passkey_id=row.id,
            methods=("hwk" if said.is_single_device else "swk", "user", "mfa"),
        )

    def _begun(
        self,
        kind: CeremonyKind,
        options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions,
        party: RelyingParty,
        user_id: UserId | None,
    ) -> PasskeyBegun:
        content = {
            "challenge": bytes_to_base64url(options.challenge),
            "origin": party.origin,
            "rp_id": party.id,
        }
        secret = self._ceremonies.begin(kind, content, user_id=user_id)
        return PasskeyBegun(options=options_to_json_dict(options), secret=secret)

    def _rows(self, user_id: UserId) -> Sequence[Row[tuple[object, ...]]]:
        with reading(self._engine) as connection:
            return connection.execute(
                select(PASSKEY)
                .where(PASSKEY.c.user_id == user_id)
                .order_by(PASSKEY.c.created_ns, PASSKEY.c.id)
            ).all()

    def _find(self, credential_id: bytes) -> Row[tuple[object, ...]] | None:
        with reading(self._engine) as connection:
            return connection.execute(
                select(PASSKEY).where(PASSKEY.c.credential_id == credential_id)
            ).first()

    def _advance(self, passkey_id: str, said: Asserted) -> bool:
        # Many authenticators count nothing: theirs is zero, and stays zero.
        grew = PASSKEY.c.sign_count < said.sign_count
        if said.sign_count == 0:
            grew = PASSKEY.c.sign_count == 0
        with transaction(self._engine) as connection:
            return (
                connection.execute(
                    update(PASSKEY)
                    .where(
                        PASSKEY.c.id == passkey_id,
                        grew,
                    )
                    .values(sign_count=said.sign_count, used_ns=self._clock())
                ).rowcount
                == 1
            )


def _insist_on_room(
    connection: Connection, user_id: UserId, credential_id: bytes
) -> None:
    owners = connection.scalars(
        select(PASSKEY.c.user_id).where(
            or_(PASSKEY.c.user_id == user_id, PASSKEY.c.credential_id == credential_id)
        )
    ).all()
    if len(owners) >= MAX_PASSKEYS:
        raise ConflictError(f"one person has at most {MAX_PASSKEYS} passkeys")


def _handle(user_id: UserId) -> bytes:
    return uuid.UUID(user_id).bytes


def _expected(ceremony: Ceremony) -> Expected:
    content = ceremony.content
    return Expected(
        origin=content["origin"],
        rp_id=content["rp_id"],
        challenge=base64url_to_bytes(content["challenge"]),
    )


def _descriptors(
    rows: Sequence[Row[tuple[object, ...]]],
) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=row.credential_id,
            transports=[AuthenticatorTransport(one) for one in row.transports.split()],
        )
        for row in rows
    ]
