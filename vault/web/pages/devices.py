"""Devices for administrators: all of them, one of them, and what each is held to.

Guarantees: a token is shown on the page that answers, and on no other.

Left to others: what may be changed by whom and its leaves (`vault.web.devices`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.device_rules import MAX_CALLS, DeviceChange, DeviceListed
from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance
from vault.web import words
from vault.web.devices import DeviceDesk, device_members
from vault.web.pages.frame import MENDABLE, PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said

router = APIRouter()

PAGE: Final = "/devices"
LIVES: Final = (30, 90, 180, 366)
"Days that a token may be given here."

_ALLOW: Final = "allow:"
_DAY_S: Final = 86_400
_LONGEST: Final = 64
_LONGEST_LIST: Final = 4096
_UNSAFE_MEDIA: Final = frozenset({Allowance.PLAIN_RTP, Allowance.SHORT_TAG})
_UNSAFE_SIGNALLING: Final = frozenset(
    {Allowance.CLEAR_SIGNALLING, Allowance.SIP_BY_ADDRESS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A device as the pages show it."""

    id: str
    name: str
    state: str
    badge: str
    expires: str | None
    used: str | None
    allowed: str
    "Empty where nothing unsafe is allowed."
    allowed_badge: str


@router.get(PAGE)
def devices_page(visit: PageVisit) -> Response:
    """Show all devices, and a form to add one."""
    return _every(visit)


@router.post(PAGE)
def devices_add(visit: PageVisit) -> Response:
    """Add a device, and show its token on its page."""
    form = visit.form
    desk = DeviceDesk(visit.services, visit.asker)
    try:
        made = desk.add(
            form.get("name", "")[: _LONGEST + 1].strip(),
            _change(form),
            ttl_s=_life_s(form),
        )
    except MENDABLE as error:
        return _every(visit, Said(error=str(error)))
    return _one(visit, str(made["id"]), token=str(made["token"]))


@router.get(PAGE + "/{device_id}")
def device_page(device_id: str, visit: PageVisit) -> Response:
    """Show one device."""
    return _one(visit, device_id)


@router.post(PAGE + "/{device_id}")
def device_set(device_id: str, visit: PageVisit) -> Response:
    """Set what it is held to."""
    desk = DeviceDesk(visit.services, visit.asker)
    said = visit.tried(
        lambda: desk.set(device_id, _change(visit.form)),
        done="Changed. Taps know within seconds.",
    )
    return _one(visit, device_id, said, typed=visit.form if said.error else None)


@router.post(PAGE + "/{device_id}/renew")
def device_renew(device_id: str, visit: PageVisit) -> Response:
    """Give it a new token, and show it on the page that answers."""
    desk = DeviceDesk(visit.services, visit.asker)
    try:
        made = desk.renew(device_id, ttl_s=_life_s(visit.form))
    except MENDABLE as error:
        return _one(visit, device_id, Said(error=str(error)))
    return _one(visit, device_id, token=str(made["token"]))


@router.post(PAGE + "/{device_id}/revoke")
def device_revoke(device_id: str, visit: PageVisit) -> Response:
    """Let it send nothing new, for good."""
    DeviceDesk(visit.services, visit.asker).revoke(device_id)
    said = Said(done="Revoked. Calls that run are kept to their end.")
    return _one(visit, device_id, said)


def _change(form: Mapping[str, str]) -> DeviceChange:
    """Return all that a form sets: it shows everything, so what is empty is meant."""
    return DeviceChange(
        addresses=_listed(form, "addresses"),
        media_addresses=_listed(form, "media_addresses"),
        certificates=_listed(form, "certificates"),
        max_calls=_calls(form.get("max_calls", "").strip()),
        allowances=_allowances(form),
        media_advertise=form.get("media_advertise", "")[: _LONGEST + 1].strip(),
    )


def _listed(form: Mapping[str, str], name: str) -> tuple[str, ...]:
    text = form.get(name, "")
    if len(text) > _LONGEST_LIST:
        raise InvalidInputError(f"at most {_LONGEST_LIST} characters in a list")
    return tuple(text.replace(",", " ").split())


def _calls(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_CALLS))):
        raise InvalidInputError(f"calls at a time are 0 to {MAX_CALLS}")
    return int(text)


def _allowances(form: Mapping[str, str]) -> frozenset[Allowance]:
    names = [name.removeprefix(_ALLOW) for name in form if name.startswith(_ALLOW)]
    try:
        return frozenset(map(Allowance, names))
    except ValueError:
        raise InvalidInputError("there is no such allowance") from None


def _life_s(form: Mapping[str, str]) -> float | None:
    given = form.get("days", "")
    if not given:
        return None
    if given not in {str(one) for one in LIVES}:
        raise InvalidInputError("a token lives 30, 90, 180 or 366 days here")
    return int(given) * _DAY_S


def _every(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    every = DeviceDesk(visit.services, visit.asker).every()
    now_ns = visit.services.clock()
    return visit.page(
        "devices.html",
        said=said,
        rows=[_row(one, now_ns) for one in every],
        warnings=_warnings(one.device.allowances for one in every),
        name=visit.form.get("name", "")[:_LONGEST],
        given=_typed(visit.form),
        lives=LIVES,
        allowances=_choices(),
    )


def _one(
    visit: Visit,
    device_id: str,
    said: Said = NOTHING_SAID,
    *,
    typed: Mapping[str, str] | None = None,
    token: str = "",
) -> Response:
    listed = DeviceDesk(visit.services, visit.asker).one(device_id)
    members = device_members(listed)
    return visit.page(
        "device.html",
        said=said,
        row=_row(listed, visit.services.clock()),
        device=members,
        warnings=_warnings([listed.device.allowances]),
        given=_typed(typed) if typed else _kept(members),
        lives=LIVES,
        allowances=_choices(),
        token=token,
    )


def _row(listed: DeviceListed, now_ns: int) -> Row:
    device, given = listed.device, listed.device.allowances
    state, badge = "active", "ok"
    if listed.revoked:
        state, badge = "revoked", "failed"
    elif not listed.has_token_at(now_ns):
        state, badge = "token ended", "partial"
    plain = given & (_UNSAFE_SIGNALLING | {Allowance.PLAIN_RTP})
    texts = [words.allowance_text(one) for one in sorted(given)]
    return Row(
        id=device.id,
        name=device.name,
        state=state,
        badge=badge,
        expires=None if listed.expires_ns is None else rfc3339(listed.expires_ns),
        used=None if listed.used_ns is None else rfc3339(listed.used_ns),
        allowed=words.listed(texts) if texts else "",
        allowed_badge="none-protection" if plain else "short-tag-protection",
    )


def _warnings(every: Iterable[frozenset[Allowance]]) -> list[str]:
    """Return what it means that devices are allowed what they are."""
    given = frozenset[Allowance]().union(*every)
    return [words.UNSAFE_DEVICES] * bool(given & _UNSAFE_MEDIA) + [
        words.UNSAFE_SIGNALLING
    ] * bool(given & _UNSAFE_SIGNALLING)


def _choices() -> list[tuple[str, str]]:
    return [(_ALLOW + one, words.allowance_text(one)) for one in sorted(Allowance)]


def _kept(members: Mapping[str, object]) -> dict[str, str]:
    """Return the fields of the form as the device is."""

    def lines(name: str) -> str:
        value = members[name]
        return "\n".join(map(str, value)) if isinstance(value, list) else ""

    return {
        "addresses": lines("addresses"),
        "media_addresses": lines("media_addresses"),
        "certificates": lines("certificates"),
        "max_calls": str(members["max_calls"] or ""),
        "media_advertise": str(members["media_advertise"] or ""),
    } | {_ALLOW + one: "on" for one in lines("allowances").split()}


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the form as somebody has just filled it in."""
    names = ("addresses", "media_addresses", "certificates")
    texts = {name: form.get(name, "")[:_LONGEST_LIST] for name in names}
    short = {
        name: form.get(name, "")[:_LONGEST] for name in ("max_calls", "media_advertise")
    }
    ticked = {one: "on" for one, _ in _choices() if one in form}
    return texts | short | ticked
