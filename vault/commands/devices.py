"""``device``: the PBXes and SBCs that send media, and what each is held to.

Guarantees: every change leaves a leaf on the trail before the command says that it
worked.  What is taken away is gone before the leaf, and what is given is given after
it: whatever fails in between, a device never may what the trail does not know of.
"""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import typer

from vault.access.certificates import MAX_PEM_BYTES, fingerprint_of, parse_fingerprint
from vault.access.device_changes import DeviceChanges, taken_away
from vault.access.device_rules import DeviceChange
from vault.access.devices import DeviceAdded, Devices
from vault.commands.changes import looking, trusted
from vault.commands.moments import seconds, to_the_second
from vault.commands.output import AsJson, failures, note, say, show, show_json
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.serving.borrowed import operator
from vault.trust.client import WardenClient
from vault.wiring import Installation

device = typer.Typer(no_args_is_help=True, help="PBXes and SBCs that send media.")

_FINGERPRINT: Final = "sha256:"
_UNSAFE: Final = MappingProxyType(
    {
        Allowance.CLEAR_SIGNALLING: "anybody between it and this host can read the "
        "keys of its calls, and so listen to them.",
        Allowance.MD5_DIGEST: "an answer with MD5 that somebody has read along takes "
        "less work to find the token from; with tokens of ours, still far too much.",
        Allowance.PAUSE_OTHERS: "it can keep what it likes out of the recordings of "
        "all devices.  Each time is on the trail.",
        Allowance.PLAIN_RTP: "anybody between it and this host can listen to its "
        "calls and put words into them.  Recordings of plain RTP are marked.",
        Allowance.SHORT_TAG: "a flood of forged packets gets one into a recording "
        "within hours.  Recordings with 32-bit tags are marked.",
        Allowance.SIP_BY_ADDRESS: "whoever can send from its addresses, or pretend to "
        "over UDP, is taken for it.",
    }
)
_WANTS_ADDRESSES: Final = MappingProxyType(
    {
        Allowance.MD5_DIGEST: "most clients that know only MD5 give up when they are "
        "asked for SHA-256 as well, as anybody is who might be another device",
        Allowance.SIP_BY_ADDRESS: "without a list of addresses it is known by none",
    }
)

Name = Annotated[str, typer.Argument(help="Of the device.", show_default=False)]
Advertise = Annotated[
    str | None, typer.Option(help="Address that answers to it name for media.")
]
Allow = Annotated[
    list[Allowance] | None,
    typer.Option(help="Something unsafe that it may do; may be repeated."),
]
Address = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PREFIX", help="Its SIP may come from there alone; may be repeated."
    ),
]
MediaAddress = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PREFIX", help="Its media may come from there alone; may be repeated."
    ),
]
Certificate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PEM-FILE|sha256:HEX",
        help="It is known in SIP by this certificate alone; may be repeated.",
    ),
]
Ttl = Annotated[
    str | None,
    typer.Option(help="How long its token lives: 365d, 12h; for ever without it."),
]
MaxCalls = Annotated[
    int | None, typer.Option(help="Calls at a time; 0 for no limit of its own.")
]


@device.command("add")
def device_add(
    name: Name,
    *,
    media_advertise: Advertise = None,
    address: Address = None,
    media_address: MediaAddress = None,
    certificate: Certificate = None,
    max_calls: MaxCalls = None,
    allow: Allow = None,
    ttl: Ttl = None,
    as_json: AsJson = False,
) -> None:
    """Add a device and print its token, which is shown only now."""
    with trusted() as (installation, warden):
        change = DeviceChange(
            addresses=_given(address),
            media_addresses=_given(media_address),
            certificates=_certificates(certificate),
            max_calls=max_calls,
            allowances=frozenset(allow or ()),
            media_advertise=media_advertise,
        )
        added = _changes(installation, warden).add(
            name, change, ttl_s=seconds(ttl) if ttl else None
        )
        _warn(added.device)
        _show_token(added, as_json=as_json)


@device.command("set")
def device_set(
    name: Name,
    *,
    media_advertise: Advertise = None,
    no_media_advertise: Annotated[
        bool, typer.Option("--no-media-advertise", help="Answers name the listener's.")
    ] = False,
    address: Address = None,
    no_address: Annotated[
        bool, typer.Option("--no-address", help="Its SIP may come from anywhere.")
    ] = False,
    media_address: MediaAddress = None,
    no_media_address: Annotated[
        bool,
        typer.Option("--no-media-address", help="Its media may come from anywhere."),
    ] = False,
    certificate: Certificate = None,
    no_certificate: Annotated[
        bool, typer.Option("--no-certificate", help="It is known by its token.")
    ] = False,
    max_calls: MaxCalls = None,
    allow: Allow = None,
    no_allow: Annotated[
        bool, typer.Option("--no-allow", help="It may do nothing unsafe.")
    ] = False,
) -> None:
    """Set what a device is held to; its token stays.

    A list that is given replaces the one before; what is not named stays.
    """
    change = DeviceChange(
        addresses=_list(_given(address), "address", none=no_address),
        media_addresses=_list(
            _given(media_address), "media-address", none=no_media_address
        ),
        max_calls=max_calls,
        allowances=_allowances(allow, none=no_allow),
        media_advertise=_own_or_none(media_advertise, none=no_media_advertise),
    )
    if no_certificate and certificate:
        raise typer.BadParameter("name --certificate, or --no-certificate")
    if change == DeviceChange() and not (certificate or no_certificate):
        raise typer.BadParameter("name something to set")
    with trusted() as (installation, warden):
        pinned = () if no_certificate else _certificates(certificate)
        change = replace(change, certificates=pinned)
        changed = _change(installation, warden, name, change)
        say(f"{changed.name} is set; taps know within 5 s.")


@device.command("allow")
def device_allow(
    name: Name,
    allowances: Annotated[
        list[Allowance] | None,
        typer.Argument(help="All of them, from now on.", show_default=False),
    ] = None,
    *,
    none: Annotated[
        bool, typer.Option("--none", help="It may do nothing unsafe.")
    ] = False,
) -> None:
    """Set what a device may do although it is unsafe; its token stays."""
    wanted = frozenset(allowances or ())
    if none == bool(wanted):
        raise typer.BadParameter("name what it may do, or --none")
    with trusted() as (installation, warden):
        change = DeviceChange(allowances=wanted)
        changed = _change(installation, warden, name, change)
        may = ", ".join(sorted(wanted)) or "nothing unsafe"
        say(f"{changed.name} may: {may}; taps know within 5 s.")


@device.command("renew")
def device_renew(name: Name, *, ttl: Ttl = None, as_json: AsJson = False) -> None:
    """Give a device a new token, which is shown only now; the old one is gone."""
    with failures():
        ttl_s = seconds(ttl) if ttl else None
    with trusted() as (installation, warden):
        renewed = _changes(installation, warden).renew(name, ttl_s=ttl_s)
        _show_token(renewed, as_json=as_json)


@device.command("list")
def device_list(*, as_json: AsJson = False) -> None:
    """List devices."""
    with looking() as installation:
        devices = Devices(installation.catalog)
        used_ns = {one.device.id: one.used_ns for one in devices.list()}
        rows = [
            {
                "id": one.device.id,
                "name": one.device.name,
                "media_advertise": one.device.media_advertise,
                "addresses": list(one.device.addresses),
                "media_addresses": list(one.device.media_addresses),
                "certificates": [_FINGERPRINT + each for each in one.certificates],
                "max_calls": one.device.max_calls,
                "allowances": sorted(one.device.allowances),
                "sip_password": one.digest is not None,
                "revoked": one.revoked,
                "expires": _moment(one.expires_ns),
                "used": _moment(used_ns.get(one.device.id)),
            }
            for one in devices.for_taps()
        ]
        show(rows, as_json=as_json, empty="No devices: callvault device add NAME")


@device.command("revoke")
def device_revoke(name: Name) -> None:
    """Refuse a device from now on."""
    with trusted() as (installation, warden):
        revoked = _changes(installation, warden).revoke(name)
        say(f"Revoked {revoked.name}; taps know within 5 s.")


def _moment(time_ns: int | None) -> str | None:
    return None if time_ns is None else to_the_second(time_ns)


def _changes(installation: Installation, warden: WardenClient) -> DeviceChanges:
    return DeviceChanges(
        devices=Devices(installation.catalog), append=warden.append, caller=operator()
    )


def _change(
    installation: Installation, warden: WardenClient, name: str, change: DeviceChange
) -> Device:
    changed = _changes(installation, warden).set(name, change)
    wanted = changed.after.device
    _warn(wanted)
    if lost := taken_away(changed):
        # A list replaces the one before, which is easily forgotten.
        say(f"{wanted.name} had, and has no more: {', '.join(lost)}.")
    return wanted


def _show_token(added: DeviceAdded, *, as_json: bool) -> None:
    if not as_json:
        say(added.token)
        return
    show_json(
        {
            "id": added.device.id,
            "name": added.device.name,
            "allowances": sorted(added.device.allowances),
            "token": added.token,
        }
    )


def _warn(changed: Device) -> None:
    for allowance in sorted(changed.allowances):
        note(f"{changed.name}: {_UNSAFE[allowance]}")
        if allowance in _WANTS_ADDRESSES and not changed.addresses:
            note(
                f"{changed.name}: {_WANTS_ADDRESSES[allowance]}: "
                f"callvault device set {changed.name} --address PREFIX"
            )


def _given(texts: list[str] | None) -> tuple[str, ...] | None:
    return tuple(texts) if texts else None


def _list(
    given: tuple[str, ...] | None, name: str, *, none: bool
) -> tuple[str, ...] | None:
    if none and given:
        raise typer.BadParameter(f"name --{name}, or --no-{name}")
    return () if none else given


def _allowances(
    given: list[Allowance] | None, *, none: bool
) -> frozenset[Allowance] | None:
    if none and given:
        raise typer.BadParameter("name --allow, or --no-allow")
    return frozenset(given or ()) if given or none else None


def _own_or_none(given: str | None, *, none: bool) -> str | None:
    if none and given:
        raise typer.BadParameter("name --media-advertise, or --no-media-advertise")
    return "" if none else given


def _certificates(texts: list[str] | None) -> tuple[str, ...] | None:
    """Return the fingerprints of what was named: files, or fingerprints."""
    return tuple(map(_fingerprint, texts)) if texts else None


def _fingerprint(text: str) -> str:
    if text.lower().startswith(_FINGERPRINT):
        return parse_fingerprint(text)
    try:
        with Path(text).open("rb") as file:
            return fingerprint_of(file.read(MAX_PEM_BYTES + 1))
    except OSError as exc:
        raise InvalidInputError(
            f"{text} cannot be read: {exc.strerror or exc}"
        ) from None
