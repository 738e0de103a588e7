"""Where a recording can go from where it stands: one table, no exceptions.

    recording ──shipped──► captured ──claimed──► rendering ──made──► ready
        │                     │                      │  ├─made-part─► partial
        └──────lost───────────┴─────────lost─────────┘  └───────────► failed
    ready | partial | failed ──remade──► ready, ──remade-part──► partial
    ready | partial | failed ──expire──► expired ──shred──► shredded

A worker that died leaves ``rendering`` behind; the next one claims it again.
Another format for a recording that can be played already changes no state, so
playback goes on meanwhile; so it does while a worker makes a recording anew because
keys came late, and only the result moves it.

Guarantees: a move that is not in the table raises; nothing leaves ``shredded``;
nothing that is held expires or is shredded, and nobody does that without looking.

Left to others: who may ask for a move, and when (`vault.catalog.recordings`).
"""

from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.core.errors import ConflictError, RetentionHoldError
from vault.core.flow import RecordingState as S


@unique
class Event(StrEnum):
    """What happens to a recording."""

    SHIPPED = "shipped"
    "Every sealed object and the signed manifest are in the store."
    CLAIMED = "claimed"
    "A worker took the lease on it."
    GIVEN_BACK = "given-back"
    "The worker could not finish, and another attempt may."
    MADE = "made"
    "Everything that was captured can be played."
    MADE_PART = "made-part"
    "What there is can be played, or nothing more can ever be."
    LOST = "lost"
    "There is nothing to play, and never will be."
    REMADE = "remade"
    "Made anew with keys that came late: everything can be played now."
    REMADE_PART = "remade-part"
    "The same, and something is still missing."
    EXPIRE = "expire"
    SHRED = "shred"


_NEXT: Final = MappingProxyType(
    {
        (S.RECORDING, Event.SHIPPED): S.CAPTURED,
        # A call that never sent a packet has nothing to ship.
        (S.RECORDING, Event.LOST): S.FAILED,
        (S.CAPTURED, Event.CLAIMED): S.RENDERING,
        (S.CAPTURED, Event.LOST): S.FAILED,
        (S.RENDERING, Event.CLAIMED): S.RENDERING,
        (S.RENDERING, Event.GIVEN_BACK): S.CAPTURED,
        (S.RENDERING, Event.MADE): S.READY,
        (S.RENDERING, Event.MADE_PART): S.PARTIAL,
        (S.RENDERING, Event.LOST): S.FAILED,
        (S.READY, Event.REMADE): S.READY,
        (S.PARTIAL, Event.REMADE): S.READY,
        (S.FAILED, Event.REMADE): S.READY,
        (S.READY, Event.REMADE_PART): S.PARTIAL,
        (S.PARTIAL, Event.REMADE_PART): S.PARTIAL,
        (S.FAILED, Event.REMADE_PART): S.PARTIAL,
        (S.READY, Event.EXPIRE): S.EXPIRED,
        (S.PARTIAL, Event.EXPIRE): S.EXPIRED,
        (S.FAILED, Event.EXPIRE): S.EXPIRED,
        (S.EXPIRED, Event.SHRED): S.SHREDDED,
    }
)

PLAYABLE: Final = frozenset({S.READY, S.PARTIAL})
"States in which another format can be asked for."

SETTLED: Final = PLAYABLE | {S.FAILED}
"States in which a recording stays while a worker makes it anew."


_ENDS: Final = frozenset({Event.EXPIRE, Event.SHRED})


def next_state(state: S, event: Event, *, held: bool | None = None) -> S:
    """Return where *event* takes a recording that stands at *state*.

    Args:
        state: Where it stands.
        event: What happens to it.
        held: Whether it is under legal hold, read in the same transaction; whoever
            lets a recording expire or shreds it has to look.

    Raises:
        ConflictError: The table has no such move.
        RetentionHoldError: A held recording stays as it is.
    """
    if event in _ENDS:
        if held is None:
            raise RuntimeError(f"{event}: nobody looked whether the recording is held")
        if held:
            raise RetentionHoldError("the recording is under legal hold")
    try:
        return _NEXT[state, event]
    except KeyError:
        raise ConflictError(f"a recording in state {state} cannot be {event}") from None
