"""The roster's upkeep: keys for this month and the next two, signed and on the trail.

Guarantees:
    * A recipient is in a signed roster only after its leaf is durable.
    * Versions only grow, and each names the digest of the one before.
    * `refresh_roster` may be called at any time, by one process: without a
      reason for a new version it writes nothing.

Left to others: what a roster is (`vault.sealing.roster`), which taps and workers
there are (`vault.wiring`), carrying it to the taps (`vault.recorder`).

Spec: docs/reference/formats/roster.md
"""

import base64
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.audit.entry import Action, Draft
from vault.core.clock import NS_PER_S, month_of, rfc3339, utc
from vault.core.errors import ConfigurationError
from vault.core.flow import Actor, ActorKind, Caller
from vault.durable import sync_folder
from vault.sealing.envelope import Recipient
from vault.sealing.roster import (
    VALID_NS,
    Roster,
    RosterRecipient,
    RosterSigner,
    roster_digest,
    sign_roster,
    verify_roster,
)

MONTHS_AHEAD: Final = 2
"A tap that hears nothing for so many months still wraps for a month of its own."

_DAY_NS: Final = 24 * 3600 * NS_PER_S
_RENEW_NS: Final = 28 * _DAY_NS
"A roster with less than this left is signed again: once a week."

_MAX_OCTETS: Final = 4 * 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class RosterKeys(Protocol):
    """What the upkeep asks of the keyring."""

    @property
    def roster_signing_key(self) -> Ed25519PrivateKey:
        """The key that signs rosters."""
        ...

    def ensure_month(self, month: str) -> bool:
        """Have keys for *month*."""
        ...

    def recipients(self, now_month: str) -> list[Recipient]:
        """Return recipients from *now_month* on; the label is the month."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterFiles:
    """Where the roster and its verifier rest; both are public."""

    roster: Path
    "``keys/roster.json``: DSSE."
    verifier: Path
    "``keys/roster.pub``: base64 of the raw Ed25519 public key, one line."


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Whose signatures count, by the keys that they have now."""

    taps: Sequence[RosterSigner] = ()
    workers: Sequence[RosterSigner] = ()


def refresh_roster(
    keyring: RosterKeys,
    files: RosterFiles,
    signers: Signers,
    *,
    append: Callable[..., None],
    now_ns: int,
) -> Roster:
    """Return the roster that holds now, after renewing it where it needs to be.

    Args:
        keyring: Makes the months' keys and signs.
        files: Where the roster rests.
        signers: Taps and workers to name.
        append: Writes drafts to the trail and returns when they are durable.
        now_ns: Nanoseconds since the epoch.

    Raises:
        SealBrokenError: The roster in its file is not one that we signed.
        AuditUnavailableError: No leaf: the old roster stands.
        ConfigurationError: A file cannot be read or written.
    """
    # 1. The roster in the file is ours, or there is none.
    pinned = keyring.roster_signing_key.public_key().public_bytes_raw()
    octets = _read(files.roster)
    current = (
        verify_roster(octets, pinned=pinned, at_least_version=0, now=now_ns)
        if octets
        else None
    )
    # 2. Keys for every month that it has to name, durable before they are named.
    months = [
        _month_after(month_of(now_ns), steps) for steps in range(MONTHS_AHEAD + 1)
    ]
    for month in months:
        keyring.ensure_month(month)
    recipients = tuple(
        RosterRecipient(month=each.label, recipient=each)
        for each in keyring.recipients(months[0])
        if each.label <= months[-1]
    )
    wanted = Roster(
        version=current.version + 1 if current else 1,
        previous=roster_digest(octets) if octets else "",
        not_after=rfc3339(now_ns + VALID_NS),
        recipients=recipients,
        taps=tuple(signers.taps),
        workers=tuple(signers.workers),
    )
    if current and _still_good(current, wanted, now_ns):
        return current
    # 3. The leaves: which keys are new, and which version names them.
    signed = sign_roster(wanted, keyring.roster_signing_key)
    append(*_drafts(current, wanted, signed))
    # 4. Only now does anybody learn of it.
    verifier = base64.b64encode(pinned) + b"\n"
    if _read(files.verifier) != verifier:
        _write(files.verifier, verifier)
    _write(files.roster, signed)
    return wanted


def publish_roster(files: RosterFiles, copies: RosterFiles) -> None:
    """Copy roster and verifier to where confined processes may read them.

    The folder of *files* holds secrets, too, and is closed to them as a whole.

    Raises:
        ConfigurationError: A file cannot be read or written.
    """
    for source, copy in (
        (files.verifier, copies.verifier),
        (files.roster, copies.roster),
    ):
        octets = _read(source)
        with suppress(OSError):  # which writing reports
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if octets and _read(copy) != octets:
            _write(copy, octets)


def _still_good(current: Roster, wanted: Roster, now_ns: int) -> bool:
    left = datetime.fromisoformat(current.not_after) - utc(now_ns + _RENEW_NS)
    return left.total_seconds() > 0 and (
        (current.recipients, current.taps, current.workers)
        == (wanted.recipients, wanted.taps, wanted.workers)
    )


def _drafts(current: Roster | None, wanted: Roster, signed: bytes) -> list[Draft]:
    caller = Caller(actor=Actor(kind=ActorKind.PROCESS, id="warden"))
    # By what the last roster named, not by what `ensure_month` made just now: a
    # crash in between must not swallow the leaf of a key.
    known = {each.recipient.kid for each in current.recipients} if current else set()
    drafts = [
        Draft(
            action=Action.KEY_KEK_ADDED,
            caller=caller,
            detail={"month": each.month, "kid": each.recipient.kid},
        )
        for each in wanted.recipients
        if each.recipient.kid not in known
    ]
    drafts.append(
        Draft(
            action=Action.KEY_ROSTER_SIGNED,
            caller=caller,
            detail={
                "version": str(wanted.version),
                "sha256": roster_digest(signed),
                "count": len(wanted.recipients),
            },
        )
    )
    return drafts


def _month_after(month: str, steps: int) -> str:
    year, number = (int(part) for part in month.split("-"))
    years, rest = divmod(number - 1 + steps, 12)
    return f"{year + years:04d}-{rest + 1:02d}"


def _read(path: Path) -> bytes:
    """Return the content of *path*; nothing where there is no such file."""
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            octets = file.read(_MAX_OCTETS + 1)
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise ConfigurationError(f"cannot read {path}: {exc.strerror}") from None
    if len(octets) > _MAX_OCTETS:
        raise ConfigurationError(f"{path} is too large")
    return octets


def _write(path: Path, octets: bytes) -> None:
    """Replace *path* whole and durably; others may read it, it is public."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            with os.fdopen(os.open(fresh, _MAKE, 0o644), "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as exc:
        raise ConfigurationError(f"cannot write {path}: {exc.strerror}") from None
