"""Session timers: how a peer that vanished without BYE is noticed (RFC 4028).

Guarantees:
    * No timer that the peer did not ask for; and where it leaves the choice, the
      peer refreshes: there are peers that stop recording when we do
      (OpenSIPS#2167).
    * An interval below our minimum is refused where the peer understands why (422),
      and never raised behind its back.
    * Text that is not an interval is no interval; it ends or refuses no call.

Left to others: whose clock it is, and sending (`vault.sip.user_agent`).

Spec: RFC 4028, sections 4, 5, 9 and 10.
"""

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from vault.sip.messages import Headers, Request, Response

LOWEST_MIN_SE_S: Final = 90
"No Min-SE is below this (RFC 4028, section 5)."

_LONGEST_S: Final = 10**9 - 1
"What nine digits say: longer than any call."
_TAG: Final = "timer"
_INTERVAL: Final = re.compile(r"[ \t]*([0-9]{1,9})[ \t]*(?:;(.*))?", re.DOTALL)
_REFRESHER: Final = re.compile(
    r"(?:^|;)[ \t]*refresher[ \t]*=[ \t]*(uac|uas)[ \t]*(?=;|$)", re.IGNORECASE
)


@unique
class Refresher(StrEnum):
    """Who keeps a session alive, from our side (the header says uac or uas)."""

    PEER = "peer"
    OURSELVES = "ourselves"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimer:
    """A session that must be refreshed."""

    interval_s: int
    refresher: Refresher

    def due_s(self, refreshed_s: float) -> float:
        """Return when to act: half of the interval for us, all of it for the peer."""
        if self.refresher is Refresher.OURSELVES:
            return refreshed_s + self.interval_s / 2
        return self.expires_s(refreshed_s)

    def expires_s(self, refreshed_s: float) -> float:
        """Return when a session that nobody refreshed since is over.

        RFC 4028 would have us say BYE up to 32 s earlier; a recorder ends late
        rather than early.
        """
        return refreshed_s + self.interval_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What to say in the 2xx, and what holds from then on."""

    timer: SessionTimer | None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TooSmall:
    """The interval asked for is below our minimum: 422 with these headers."""

    headers: tuple[tuple[str, str], ...]


def agree(request: Request, *, min_se_s: int) -> Agreed | TooSmall:
    """Answer the session timer that an INVITE or UPDATE of the peer asks for.

    Args:
        request: Of the peer.
        min_se_s: The shortest interval that we agree to, in seconds.

    Spec: RFC 4028, section 9, table 2.
    """
    found = _session_expires(request.headers)
    if found is None:
        return Agreed(timer=None)
    interval_s, refresher = found
    peer_can = _TAG in _tags(request.headers, "Supported") | _tags(
        request.headers, "Require"
    )
    if interval_s < min_se_s and peer_can:
        return TooSmall(headers=(("Min-SE", str(min_se_s)),))
    # A proxy asked on behalf of a peer that knows no timers: only we can refresh,
    # and nobody would understand a 422.
    interval_s = max(interval_s, _min_se(request.headers), LOWEST_MIN_SE_S)
    ours = not peer_can or refresher == "uas"
    spelled = "uas" if ours else "uac"
    headers: tuple[tuple[str, str], ...] = (
        ("Session-Expires", f"{interval_s};refresher={spelled}"),
    )
    if peer_can:
        headers += (("Require", _TAG),)
    timer = SessionTimer(
        interval_s=interval_s,
        refresher=Refresher.OURSELVES if ours else Refresher.PEER,
    )
    return Agreed(timer=timer, headers=headers)


def asked(timer: SessionTimer) -> tuple[tuple[str, str], ...]:
    """Return the headers of a refresh of ours: who refreshed goes on to.

    Spec: RFC 4028, section 7.4.
    """
    refresher = "uac" if timer.refresher is Refresher.OURSELVES else "uas"
    return (
        ("Supported", _TAG),
        ("Session-Expires", f"{timer.interval_s};refresher={refresher}"),
        ("Min-SE", str(LOWEST_MIN_SE_S)),
    )


def granted(response: Response) -> SessionTimer | None:
    """Read what a 2xx to a refresh of ours says; None where the timer is off.

    Spec: RFC 4028, section 7.2.
    """
    found = _session_expires(response.headers)
    if found is None:
        return None
    interval_s, refresher = found
    return SessionTimer(
        interval_s=max(interval_s, LOWEST_MIN_SE_S),
        refresher=Refresher.PEER if refresher == "uas" else Refresher.OURSELVES,
    )


def longer(timer: SessionTimer, response: Response) -> SessionTimer:
    """Return *timer* with the interval that a 422 asks for, or twice its own.

    Spec: RFC 4028, section 7.3.
    """
    interval_s = _min_se(response.headers)
    if interval_s <= timer.interval_s:
        interval_s = min(2 * timer.interval_s, _LONGEST_S)
    return SessionTimer(interval_s=interval_s, refresher=timer.refresher)


def _session_expires(headers: Headers) -> tuple[int, str] | None:
    match = _INTERVAL.fullmatch(headers.get("Session-Expires") or "")
    if match is None:
        return None
    refresher = _REFRESHER.search(match[2] or "")
    return int(match[1]), refresher[1].lower() if refresher else ""


def _min_se(headers: Headers) -> int:
    match = _INTERVAL.fullmatch(headers.get("Min-SE") or "")
    return int(match[1]) if match else 0


def _tags(headers: Headers, name: str) -> set[str]:
    return {tag.strip().lower() for tag in headers.values(name)}
