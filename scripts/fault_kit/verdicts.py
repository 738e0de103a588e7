"""What each family may cost at most, and the sentence that says so when it is more."""

from collections.abc import Mapping
from dataclasses import dataclass

CHUNK_S = 1.0
"A chunk is written when it is full or a second old."
TICK_S = 0.2
"What a worker has taken from the kernel and not sealed yet."
SYNC_S = 0.5
"How long a written chunk waits for its sync."
RESTART_S = 0.1
"How long after a cut a sender hears that it may stop."
_BUSY = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and the most that it may be."""

    figure: str
    most: float
    promise: str


_ACCOUNTED = (
    Bar("calls_unaccounted", 0, "every call that was answered is accounted for"),
    Bar("calls_unreadable", 0, "what was kept is as its manifest says, and opens"),
)
_STORED = (
    *_ACCOUNTED,
    Bar("recordings_lost", 0, "what was freed is whole in the store"),
    Bar("duplicates", 0, "a recording has one manifest and nothing twice"),
    Bar("not_drained", 0, "everything is in the store once it works again"),
    Bar("packets_missing", 0, "trouble with a store costs no packet"),
)
BARS: Mapping[str, tuple[Bar, ...]] = {
    "kill-worker": (
        *_ACCOUNTED,
        Bar("counted_wrong", 0, "manifests count every packet that was captured"),
        Bar(
            "seconds_lost_per_leg_and_death_max",
            CHUNK_S + TICK_S,
            "a worker that dies costs at most the chunk being filled",
        ),
    ),
    "kill-supervisor": (
        *_ACCOUNTED,
        Bar("packets_missing", 0, "a supervisor that dies costs no packet"),
        Bar("packets_twice", 0, "a supervisor that dies doubles no packet"),
        Bar("counted_wrong", 0, "manifests count every packet that was captured"),
    ),
    "kill-both": (
        *_ACCOUNTED,
        Bar(
            "seconds_lost_per_leg_and_death_max",
            CHUNK_S + TICK_S,
            "the death of everything costs a call its last chunk and what follows",
        ),
    ),
    "power": (
        *_ACCOUNTED,
        Bar("leaves_lost", 0, "the leaf of every call that was answered is kept"),
        Bar("acked_manifests_lost", 0, "a call whose end was acknowledged is whole"),
        Bar(
            "seconds_lost_per_leg_p99",
            CHUNK_S + SYNC_S,
            "a power cut costs a chunk and what waits for a sync",
        ),
        Bar(
            "seconds_lost_per_leg_max",
            CHUNK_S + TICK_S + SYNC_S + RESTART_S,
            "a power cut costs a chunk, a sweep and what waits for a sync",
        ),
    ),
    "soak": (
        *_ACCOUNTED,
        Bar("packets_missing", 0, "no packet is lost in a long call"),
        Bar("packets_twice", 0, "no packet is recorded twice"),
        Bar("counted_wrong", 0, "manifests count every packet that was sent"),
        Bar("supervisor_drift_percent", 10, "the supervisor's memory stays flat"),
        Bar("workers_drift_percent", 10, "the media workers' memory stays flat"),
    ),
    "store-lies": (
        *_STORED,
        Bar("freed_before_read_back", 0, "nothing is freed before it was read back"),
    ),
    "audit": (
        Bar("octets_without_leaf", 0, "no octet leaves before its leaf is durable"),
        Bar("unanswered", 0, "a play without a trail is answered, by a refusal"),
        Bar("not_healed", 0, "what was refused plays again when the trouble is over"),
    ),
    "kill-log": (
        Bar("entries_lost", 0, "an acknowledged entry survives its writer"),
        Bar("entries_invented", 0, "nothing is in the log that nobody wrote"),
        Bar("unverified", 0, "a log whose writer died is one that was signed"),
    ),
    "tampering": (
        Bar("unnoticed", 0, "no change of the database passes every check"),
        Bar("false_alarms", 0, "a log that nobody touched is sound"),
    ),
    "store-outage": _STORED,
    "syscalls": (
        Bar("inconsistent_states", 0, "no fault leaves a state that cannot be"),
        Bar("calls_unaccounted", 0, "every call that was answered is accounted for"),
        Bar("acked_manifests_lost", 0, "a call whose end was acknowledged is whole"),
        Bar("syncs_retried", 0, "a sync that failed is never tried again"),
        Bar("threads_ended", 0, "no fault ends a thread that others wait for"),
        Bar("promises_not_synced", 0, "nothing is promised before it is durable"),
    ),
}


def missed(
    family: str, found: Mapping[str, object], *, busy: bool = False
) -> list[str]:
    """Return a sentence for every bar that *found* is above.

    Args:
        family: Whose bars.
        found: Its figures.
        busy: Whether the machine does other things: seconds count half then, as a
            sweep that comes late finds more than one sweep's packets.
    """
    sentences = []
    for bar in BARS[family]:
        value = found[bar.figure]
        assert isinstance(value, int | float)
        slack = _BUSY if busy and bar.figure.startswith("seconds") else 1
        if value > bar.most * slack:
            sentences.append(
                f"{family}: {bar.promise}; but {bar.figure} is {value:g}, "
                f"not {bar.most * slack:g} at most"
            )
    return sentences
