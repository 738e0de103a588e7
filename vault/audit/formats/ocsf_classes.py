"""Which class and which activity of OCSF 1.5.0 an action of the trail is.

Guarantees: an action that nobody thought of has a class, too: by its first word, with
the activity "other".

Spec: OCSF 1.5.0, classes 3001, 3002, 3004, 3005, 6002, 6003 and 6005
"""

from collections.abc import Mapping
from typing import Final

from vault.core.canonical import JsonValue

ACCOUNT: Final = 3001
AUTHENTICATION: Final = 3002
ENTITY: Final = 3004
PRIVILEGES: Final = 3005
LIFECYCLE: Final = 6002
API: Final = 6003
DATASTORE: Final = 6005

OTHER: Final = 99

# The first beginning that fits decides.
_CLASSES: Final = (
    ("access.session.", AUTHENTICATION),
    ("access.factor.refused", AUTHENTICATION),
    ("access.factor.spent", AUTHENTICATION),
    ("access.factor.", ACCOUNT),
    ("access.user.", ACCOUNT),
    ("access.refused", API),
    ("access.", ENTITY),
    ("key.", ENTITY),
    ("process.", LIFECYCLE),
    ("", DATASTORE),
)

# By the last word of an action.
_ACTIVITIES: Final[Mapping[int, Mapping[str, int]]] = {
    AUTHENTICATION: {"opened": 1, "refused": 1, "ended": 2},
    ACCOUNT: {"added": 1, "enabled": 2, "activated": 2, "disabled": 5},
    ENTITY: {
        "added": 1,
        "changed": 3,
        "given": 1,
        "opened": 10,
        "ended": 11,
        "removed": 4,
        "requested": 1,
        "revoked": 4,
        "set": 3,
    },
    PRIVILEGES: {"given": 1, "revoked": 2},
    LIFECYCLE: {"started": 3, "stopped": 4},
    DATASTORE: {
        "captured": 5,
        "changed": 2,
        "classified": 2,
        "created": 6,
        "exported": 1,
        "listed": 8,
        "opened": 10,
        "played": 1,
        "read": 1,
        "recovered": 5,
        "released": 10,
        "rendered": 5,
        "searched": 4,
        "shredded": 7,
        "started": 6,
    },
}

# What the last word alone would say wrongly.
_EXACT: Final[Mapping[str, int]] = {
    "access.factor.added": 10,
    "access.factor.removed": 11,
    "access.factor.reset": 11,
    "access.factor.refused": OTHER,
    "recording.hold.released": 2,
    "recording.hold.placed": 2,
}


def class_of(action: str, said: Mapping[str, JsonValue]) -> int:
    """Return the ``class_uid`` of an action.

    Args:
        action: The action.
        said: The entry's detail: a person's right is of another class than a role's.
    """
    if action.startswith("access.right.") and str(said.get("holder")).startswith(
        "user:"
    ):
        return PRIVILEGES
    return next(kind for start, kind in _CLASSES if action.startswith(start))


def activity_of(kind: int, action: str) -> int:
    """Return the ``activity_id`` of an action in its class."""
    if action in _EXACT:
        return _EXACT[action]
    return _ACTIVITIES.get(kind, {}).get(action.rpartition(".")[2], OTHER)
