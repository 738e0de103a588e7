"""Devices: the PBXes and SBCs that may send media, each with a token.

Guarantees:
    * A token is shown once and kept as a digest; what answers to SIP challenges are
      checked with is kept beside it, and told to taps alone.  It may have an end.
    * A revoked device stays in the list and in every snapshot, so that a tap learns
      of the revocation; its digest secrets are gone.
    * A device may send nothing unsafe unless somebody allowed it, by name.
    * No two devices that live have pinned the same certificate.

Left to others: keeping a snapshot on a tap (`vault.recorder`), audit leaves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from vault.access.credentials import (
    DigestSecrets,
    SecretKind,
    digest_secrets,
    new_secret,
    secret_digest,
)
from vault.access.device_rules import (
    MAX_TOKEN_TTL_S,
    DeviceChange,
    DeviceListed,
    changed,
    literal_address,
    narrowed,
)
from vault.access.names import checked_name, is_storable, name_key
from vault.access.tables import DEVICE, DEVICE_DIGEST
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.flow import NOTHING_ALLOWED, Allowance, Device
from vault.core.ids import DeviceId, new_id
from vault.database.engine import reading, transaction

__all__ = [
    "DeviceAdded",
    "DeviceAllowed",
    "DeviceChange",
    "DeviceChanged",
    "DeviceListed",
    "DeviceSnapshot",
    "Devices",
]

_NO_DEVICE: Final = "no such device"
_Tell = Callable[[Device], object]


def _nobody(device: Device) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAdded:
    """A device and its new token, which is shown this once."""

    device: Device
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChanged:
    """A device before a change and after it."""

    before: DeviceListed
    after: DeviceListed


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAllowed:
    """A device whose allowances were set, and what they were."""

    device: Device
    before: frozenset[Allowance]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSnapshot:
    """Every device there is, for a tap that cannot ask the database."""

    devices: tuple[DeviceListed, ...]

    def by_token(self, token: str) -> Device | None:
        """Return the device that *token* belongs to; None if none may."""
        digest = secret_digest(token)
        now_ns = system_clock_ns()
        for listed in self.devices:
            if listed.token_sha256 == digest and listed.has_token_at(now_ns):
                return listed.device
        return None


class Devices:
    """The devices in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self,
        name: str,
        change: DeviceChange | None = None,
        *,
        media_advertise: str | None = None,
        allowances: frozenset[Allowance] = NOTHING_ALLOWED,
        ttl_s: float | None = None,
        tell: _Tell = _nobody,
    ) -> DeviceAdded:
        """Make a device.

        Args:
            name: 1 to 64 letters, digits and ``. _ - @``; its user name in SIP.
            change: What else to set.
            media_advertise: Address for ``c=`` in answers to this device.
            allowances: What it may do that is refused to others.
            ttl_s: How long its token lives, in seconds; None for ever.
            tell: Is told the device before it is one; what it raises undoes it.

        Raises:
            InvalidInputError: Not a name, not an address, or no such life.
            ConflictError: The name is taken, by a revoked device too; or a
                certificate is another device's.
        """
        bare = Device(id=DeviceId(new_id()), name=checked_name(name))
        listed = DeviceListed(device=bare, token_sha256=b"", revoked=False)
        listed = changed(listed, DeviceChange(allowances=allowances))
        listed = changed(listed, change or DeviceChange())
        if media_advertise is not None:
            own = replace(
                listed.device, media_advertise=literal_address(media_advertise)
            )
            listed = replace(listed, device=own)
        device, token = listed.device, new_secret(SecretKind.DEVICE)
        expires_ns = self._end_after(ttl_s)
        with transaction(self._engine) as connection:
            if connection.execute(
                select(exists().where(DEVICE.c.name_key == name_key(device.name)))
            ).scalar_one():
                raise ConflictError("a device has that name already")
            _insist_on_own(connection, listed)
            connection.execute(
                insert(DEVICE).values(
                    id=device.id,
                    name=device.name,
                    name_key=name_key(device.name),
                    secret_sha256=secret_digest(token),
                    expires_ns=expires_ns,
                    **_columns(listed),
                )
            )
            _keep_digest(connection, device, token)
            tell(device)
        return DeviceAdded(device=device, token=token)

    def renew(self, name_or_id: str, *, ttl_s: float | None = None) -> DeviceAdded:
        """Give a device a new token, and SIP password, in place of the old.

        Args:
            name_or_id: Of the device.
            ttl_s: How long the new token lives, in seconds; None for ever.

        Raises:
            InvalidInputError: No such life.
            NotFoundError: No such device.
            ConflictError: It was revoked: that is for good.
        """
        token, expires_ns = new_secret(SecretKind.DEVICE), self._end_after(ttl_s)
        with transaction(self._engine) as connection:
            listed = _read(connection, name_or_id)
            if listed.revoked:
                raise ConflictError("the device was revoked: add another one")
            connection.execute(
                update(DEVICE)
                .where(DEVICE.c.id == listed.device.id)
                .values(secret_sha256=secret_digest(token), expires_ns=expires_ns)
            )
            _keep_digest(connection, listed.device, token)
        return DeviceAdded(device=listed.device, token=token)

    def revoke(self, name_or_id: str) -> Device:
        """Let a device send nothing new from now on; repeating it is fine.

        Raises:
            NotFoundError: No such device.
        """
        named = _named(name_or_id)
        with transaction(self._engine) as connection:
            row = connection.execute(
                update(DEVICE).where(named).values(revoked=True).returning(DEVICE)
            ).first()
            if row is None:
                raise NotFoundError(_NO_DEVICE)
            connection.execute(
                delete(DEVICE_DIGEST).where(DEVICE_DIGEST.c.device_id == row.id)
            )
        return _listed(row).device

    def change(
        self, name_or_id: str, change: DeviceChange, *, grants: bool = True
    ) -> DeviceChanged:
        """Set what a device is held to; its token stays.

        Args:
            name_or_id: Of the device, which may be a revoked one.
            change: What to set.
            grants: Whether what is new is given; else things are taken away only,
                as far as that can be said, so that a trail can be written between.

        Raises:
            InvalidInputError: Not an address, a fingerprint or a number of calls.
            ConflictError: A certificate is another device's.
            NotFoundError: No such device.
        """
        with transaction(self._engine) as connection:
            before = _read(connection, name_or_id)
            after = changed(before, change)
            _insist_on_own(connection, after)
            if not grants:
                after = narrowed(before, after)
            connection.execute(
                update(DEVICE)
                .where(DEVICE.c.id == before.device.id)
                .values(**_columns(after))
            )
        return DeviceChanged(before=before, after=after)

    def preview(self, name_or_id: str, change: DeviceChange) -> DeviceChanged:
        """Return what `change` would do, and do nothing.

        Raises:
            As `change`.
        """
        with reading(self._engine) as connection:
            before = _read(connection, name_or_id)
            after = changed(before, change)
            _insist_on_own(connection, after)
        return DeviceChanged(before=before, after=after)

    def allow(
        self,
        name_or_id: str,
        allowances: frozenset[Allowance],
        *,
        grants: bool = True,
    ) -> DeviceAllowed:
        """Set what a device may do that is refused to others; its token stays.

        Args:
            name_or_id: Of the device, which may be a revoked one.
            allowances: All of them: what is not named is taken away.
            grants: Whether what is new is given; else things are taken away only.

        Raises:
            NotFoundError: No such device.
        """
        change = DeviceChange(allowances=allowances)
        done = self.change(name_or_id, change, grants=grants)
        return DeviceAllowed(
            device=done.after.device, before=done.before.device.allowances
        )

    def list(self) -> tuple[DeviceListed, ...]:
        """Return all devices by name, revoked ones included."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(DEVICE).order_by(DEVICE.c.name))
            return tuple(map(_listed, rows))

    def note_uses(self, uses: Mapping[DeviceId, int]) -> None:
        """Keep when each of these devices was last heard, in nanoseconds."""
        with transaction(self._engine) as connection:
            for device_id, used_ns in sorted(uses.items()):
                connection.execute(
                    update(DEVICE)
                    .where(DEVICE.c.id == device_id)
                    .values(used_ns=used_ns)
                )

    def for_taps(self) -> tuple[DeviceListed, ...]:
        """Return the same with digest secrets and without uses, which come often."""
        secrets = DEVICE.outerjoin(
            DEVICE_DIGEST, DEVICE.c.id == DEVICE_DIGEST.c.device_id
        )
        query = select(DEVICE, DEVICE_DIGEST.c.ha1_sha256, DEVICE_DIGEST.c.ha1_md5)
        with reading(self._engine) as connection:
            return tuple(
                replace(
                    _listed(row),
                    used_ns=None,
                    digest=row.ha1_sha256
                    and DigestSecrets(sha256=row.ha1_sha256, md5=row.ha1_md5),
                )
                for row in connection.execute(
                    query.select_from(secrets).order_by(DEVICE.c.name)
                )
            )

    def snapshot(self) -> DeviceSnapshot:
        """Return what a tap keeps of the devices."""
        return DeviceSnapshot(devices=self.for_taps())

    def _end_after(self, ttl_s: float | None) -> int | None:
        if ttl_s is None:
            return None
        if not 1 <= ttl_s <= MAX_TOKEN_TTL_S:
            raise InvalidInputError("a device's token lives 1 second to 3660 days")
        return self._clock() + int(ttl_s * NS_PER_S)


def _named(name_or_id: str) -> ColumnElement[bool]:
    if not is_storable(name_or_id):
        raise NotFoundError(_NO_DEVICE)
    return or_(DEVICE.c.id == name_or_id, DEVICE.c.name_key == name_key(name_or_id))


def _read(connection: Connection, name_or_id: str) -> DeviceListed:
    row = connection.execute(select(DEVICE).where(_named(name_or_id))).first()
    if row is None:
        raise NotFoundError(_NO_DEVICE)
    return _listed(row)


def _listed(row: Row[*tuple[Any, ...]]) -> DeviceListed:
    return DeviceListed(
        device=Device(
            id=DeviceId(row.id),
            name=row.name,
            media_advertise=row.media_advertise,
            allowances=Allowance.known_among(row.allowances.split()),
            addresses=tuple(row.addresses.split()),
            media_addresses=tuple(row.media_addresses.split()),
            max_calls=row.max_calls,
        ),
        token_sha256=bytes(row.secret_sha256),
        revoked=row.revoked,
        expires_ns=row.expires_ns,
        used_ns=row.used_ns,
        certificates=tuple(row.certificates.split()),
    )


def _columns(listed: DeviceListed) -> dict[str, str | int | None]:
    device = listed.device
    return {
        "media_advertise": device.media_advertise,
        "allowances": " ".join(sorted(device.allowances)),
        "addresses": " ".join(device.addresses),
        "media_addresses": " ".join(device.media_addresses),
        "certificates": " ".join(listed.certificates),
        "max_calls": device.max_calls,
    }


def _keep_digest(connection: Connection, device: Device, token: str) -> None:
    secrets = digest_secrets(device.name, token)
    connection.execute(
        delete(DEVICE_DIGEST).where(DEVICE_DIGEST.c.device_id == device.id)
    )
    connection.execute(
        insert(DEVICE_DIGEST).values(
            device_id=device.id, ha1_sha256=secrets.sha256, ha1_md5=secrets.md5
        )
    )


def _insist_on_own(connection: Connection, listed: DeviceListed) -> None:
    """Refuse certificates that another device is known by."""
    if not listed.certificates:
        return
    others = connection.execute(
        select(DEVICE.c.certificates).where(
            DEVICE.c.id != listed.device.id,
            DEVICE.c.revoked.is_(False),
            DEVICE.c.certificates != "",
        )
    ).scalars()
    taken = {one for texts in others for one in texts.split()}
    if taken.intersection(listed.certificates):
        raise ConflictError("another device is known by that certificate")
