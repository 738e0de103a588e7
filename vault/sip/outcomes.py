"""What a dialog says to a request at the wrong time, and what an answer asks for."""

from dataclasses import dataclass
from enum import StrEnum, unique


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a request is refused that came at the wrong time."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@unique
class Then(StrEnum):
    """What the answer to a request of ours in a dialog asks for."""

    NOTHING = "nothing"
    AGAIN = "again"
    "Send it anew after `Outcome.after_s`: glare (491), or the peer is busy."
    AS_INVITE = "as-invite"
    "The peer knows no UPDATE: refresh by re-INVITE."
    OVER = "over"
    "It was BYE; or the peer knows no such dialog (481) or never answered (408)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows from an answer to a request of ours."""

    then: Then
    after_s: float = 0.0
