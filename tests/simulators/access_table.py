"""What every route of the web process answers to whom: the table, by hand.

A new route needs a line here; tests/integration/test_access_matrix_http.py holds
the application to it, for everybody in `tests.simulators.access_world`.
"""

from collections.abc import Mapping
from typing import Any

from tests.simulators.access_fills import (
    NO_ENTRY,
    NO_ID,
    REASON,
    SECRET,
    extension,
    own_session,
    own_token,
    session_of_another,
    somebody,
    token_of_another,
)
from tests.simulators.access_rules import ANY_MEDIA, API, PLAYED, SHREDDED, Rule
from tests.simulators.access_table_pages import PAGES
from tests.simulators.access_world import (
    BREAK_GLASS,
    CLASSES,
    CLASSIFY,
    EXPORT,
    META,
    PEOPLE,
    PLACE,
    PLAY,
    POLICY,
    RELEASE,
    SCREEN,
    SESSIONS,
    TEXTS,
    TRAIL,
    TRAIL_OUT,
)


def parts(**named: Any) -> list[Rule]:
    """Return the rules of every part of a recording."""
    return [
        Rule(over=PLAY, path={"part": "audio"}, states=PLAYED, **named),
        Rule(over=PLAY, path={"part": "peaks"}, states=PLAYED, **named),
        Rule(over=SCREEN, path={"part": "screen"}, states=ANY_MEDIA, **named),
        Rule(over=EXPORT, path={"part": "capture"}, states=PLAYED, **named),
    ]


RULES: Mapping[str, list[Rule]] = {
    "GET /healthz": [Rule(anyone=True)],
    "GET /readyz": [Rule(anyone=True)],
    f"POST {API}/sessions": [
        Rule(anyone=True, yes=NO_ENTRY, body={"user": "x", "password": "y"}),
        Rule(anyone=True, yes=NO_ENTRY, body={"user": "disabled"} | SECRET),
        Rule(anyone=True, yes="201", body={"user": "supervisor"} | SECRET),
    ],
    f"GET {API}/sessions": [
        Rule(),
        Rule(right=SESSIONS, query="user=*"),
        Rule(right=SESSIONS, query="user=half-signed-in"),
    ],
    f"GET {API}/sessions/current": [Rule(needs="locked")],
    f"DELETE {API}/sessions/current": [Rule(needs="locked", yes="204")],
    f"POST {API}/sessions/current/step-up": [
        Rule(needs="half", body=SECRET),
        Rule(needs="half", body={"password": "y"}, yes=NO_ENTRY),
    ],
    f"POST {API}/sessions/current/unlock": [Rule(needs="locked", body=SECRET)],
    f"POST {API}/sessions/current/lock": [Rule(needs="locked", yes="204")],
    f"POST {API}/sessions/current/activity": [Rule(yes="204")],
    f"DELETE {API}/sessions/{{session_id}}": [
        Rule(yes="204", fill=own_session),
        Rule(right=SESSIONS, yes="204", no="404 not-found", fill=session_of_another),
        Rule(yes="404 not-found", path={"session_id": NO_ID}),
    ],
    f"GET {API}/tokens": [Rule()],
    f"POST {API}/tokens": [Rule(yes="201", body={"name": "matrix"}, proof=True)],
    f"DELETE {API}/tokens/{{token_id}}": [
        Rule(yes="204", fill=own_token),
        Rule(right=SESSIONS, yes="204 404", no="404 not-found", fill=token_of_another),
        Rule(yes="404 not-found", path={"token_id": NO_ID}),
    ],
    f"GET {API}/recordings": [Rule()],
    f"GET {API}/recordings/{{recording_id}}": [Rule(over=META)],
    f"POST {API}/recordings/{{recording_id}}/grants": [
        Rule(over=PLAY, yes="201", states=PLAYED),
        Rule(over=PLAY, yes="201", states=PLAYED, body=REASON),
        Rule(over=EXPORT, yes="201", states=PLAYED, body={"media": "capture"}),
    ],
    f"GET {API}/recordings/{{recording_id}}/{{part}}": [
        *parts(),
    ],
    f"HEAD {API}/recordings/{{recording_id}}/{{part}}": parts()[:1],
    f"PATCH {API}/recordings/{{recording_id}}": [
        Rule(
            over=CLASSIFY,
            yes="200 202",
            body={"class": None},
            changes=True,
        )
    ],
    f"PUT {API}/recordings/{{recording_id}}/hold": [
        Rule(over=PLACE, states=SHREDDED, body=REASON, changes=True)
    ],
    f"DELETE {API}/recordings/{{recording_id}}/hold": [
        Rule(over=RELEASE, proof=True, states=SHREDDED, body=REASON, changes=True)
    ],
    f"GET {API}/rights": [Rule(right=POLICY)],
    f"POST {API}/rights": [
        Rule(
            right=POLICY,
            yes="201 202",
            body={"to": "role:agent", "permission": "recording:approval:decide"},
        )
    ],
    f"DELETE {API}/rights/{{right_id}}": [
        Rule(right=POLICY, yes="404 not-found", path={"right_id": NO_ID})
    ],
    f"GET {API}/classes": [Rule(right=CLASSES)],
    f"PUT {API}/classes/{{name}}": [
        Rule(
            right=POLICY,
            yes="200 202",
            path={"name": "matrix"},
            body={"needs_reason": True},
        )
    ],
    f"DELETE {API}/classes/{{name}}": [
        Rule(right=POLICY, yes="404 not-found", path={"name": "none"})
    ],
    f"GET {API}/approvals": [Rule()],
    f"POST {API}/approvals": [
        Rule(yes="404 not-found", body={"recording": NO_ID} | REASON)
    ],
    f"POST {API}/approvals/{{approval_id}}/decision": [
        Rule(yes="404 not-found", path={"approval_id": NO_ID}, body={"approve": True})
    ],
    f"GET {API}/emergency": [Rule()],
    f"POST {API}/emergency": [Rule(right=BREAK_GLASS, yes="201", body=REASON)],
    f"DELETE {API}/emergency": [Rule(yes="404 not-found")],
    f"GET {API}/factors": [Rule(needs="half")],
    f"POST {API}/factors/totp": [Rule(needs="half", proof=True)],
    f"POST {API}/factors/totp/confirmation": [
        Rule(needs="half", proof=True, yes="422 invalid-input", body={"otp": "000000"})
    ],
    f"DELETE {API}/factors/totp": [Rule(proof=True, yes="404 not-found")],
    # Passkeys belong to a name, and nobody has told this vault which is its own.
    f"POST {API}/factors/passkeys": [
        Rule(needs="half", proof=True, yes="409 conflict")
    ],
    f"POST {API}/factors/passkeys/confirmation": [
        Rule(
            needs="half",
            proof=True,
            yes="401 not-authenticated",
            body={"name": "key", "credential": {}},
        )
    ],
    f"DELETE {API}/factors/passkeys/{{passkey_id}}": [
        Rule(proof=True, yes="404 not-found", path={"passkey_id": NO_ID})
    ],
    f"POST {API}/factors/recovery-codes": [Rule(proof=True, yes="409 conflict")],
    f"POST {API}/factors/proof": [
        Rule(needs="half", yes=NO_ENTRY, body={"otp": "000000"})
    ],
    f"DELETE {API}/users/{{user_id}}/factors": [
        Rule(right=PEOPLE, yes="404 not-found", path={"user_id": NO_ID})
    ],
    f"GET {API}/users": [Rule(right=PEOPLE)],
    f"POST {API}/users": [
        Rule(right=PEOPLE, yes="201 202 409", body={"name": "newcomer"})
    ],
    f"GET {API}/users/{{user_id}}": [
        Rule(right=PEOPLE, fill=somebody),
        Rule(right=PEOPLE, yes="404 not-found", path={"user_id": NO_ID}),
    ],
    f"PATCH {API}/users/{{user_id}}": [
        Rule(right=PEOPLE, yes="200 202", fill=somebody, body={"workgroups": []})
    ],
    f"POST {API}/users/{{user_id}}/code": [
        Rule(right=PEOPLE, yes="201 202", fill=somebody)
    ],
    f"POST {API}/activations": [
        Rule(anyone=True, yes=NO_ENTRY, body={"user": "x", "code": "y"} | SECRET)
    ],
    f"GET {API}/devices": [Rule(right=POLICY)],
    f"POST {API}/devices": [
        Rule(right=POLICY, yes="201 409", body={"name": "pbx-matrix"})
    ],
    f"PATCH {API}/devices/{{device_id}}": [
        Rule(
            right=POLICY,
            yes="404 not-found",
            path={"device_id": NO_ID},
            body={"max_calls": 1},
        )
    ],
    f"POST {API}/devices/{{device_id}}/token": [
        Rule(right=POLICY, yes="404 not-found", path={"device_id": NO_ID})
    ],
    f"DELETE {API}/devices/{{device_id}}": [
        Rule(right=POLICY, yes="404 not-found", path={"device_id": NO_ID})
    ],
    f"GET {API}/workgroups": [Rule(right=POLICY)],
    f"POST {API}/workgroups": [
        Rule(right=POLICY, yes="201 202 409", body={"name": "matrix"})
    ],
    f"PATCH {API}/workgroups/{{workgroup_id}}": [
        Rule(right=POLICY, yes="404 not-found", path={"workgroup_id": NO_ID}, body={})
    ],
    f"POST {API}/sessions/passkey": [Rule(anyone=True, yes="409 conflict")],
    f"POST {API}/sessions/passkey/confirmation": [
        Rule(anyone=True, yes=NO_ENTRY, body={"credential": {}})
    ],
    f"POST {API}/sessions/current/passkey": [
        Rule(needs="locked", yes="409 conflict", body={"purpose": "unlock"})
    ],
    f"POST {API}/sessions/current/passkey/confirmation": [
        Rule(
            needs="locked",
            yes=NO_ENTRY,
            body={"purpose": "unlock", "credential": {}},
        )
    ],
    f"GET {API}/audit/entries": [Rule(right=TRAIL)],
    f"GET {API}/audit/tail": [Rule(right=TRAIL)],
    f"GET {API}/audit/report": [
        Rule(right=TRAIL),
        Rule(right=TRAIL, query="window=7d"),
    ],
    f"GET {API}/audit/entries/{{index}}/proof": [
        Rule(right=TRAIL, path={"index": "0"})
    ],
    f"GET {API}/audit/searches": [Rule(right=TRAIL)],
    f"POST {API}/audit/searches": [
        Rule(right=TRAIL, yes="201", body={"name": "mine", "query": "-actor:me"})
    ],
    f"DELETE {API}/audit/searches/{{search_id}}": [
        Rule(right=TRAIL, yes="404 not-found", path={"search_id": NO_ID})
    ],
    f"GET {API}/audit/entries/{{index}}/text": [
        Rule(right=TEXTS, yes="404 not-found", path={"index": "0"})
    ],
    f"GET {API}/audit/checkpoint": [Rule(right=TRAIL)],
    f"GET {API}/audit/export": [Rule(right=TRAIL_OUT)],
    f"GET {API}/audit/tile/{{path:path}}": [
        Rule(right=TRAIL, path={"path:path": "0/000.p/1"}),
        Rule(right=TRAIL, path={"path:path": "entries/000.p/1"}),
    ],
    f"GET {API}/extensions": [Rule(right=POLICY)],
    f"GET {API}/extensions/match": [Rule(right=POLICY, query="address=4711")],
    f"POST {API}/extensions": [
        Rule(right=POLICY, yes="200 201", body={"pattern": "4711", "agent": "ada"})
    ],
    f"DELETE {API}/extensions/{{extension_id}}": [
        Rule(right=POLICY, yes="204", fill=extension)
    ],
    f"GET {API}/address-rules": [Rule(right=POLICY)],
    f"POST {API}/address-rules": [
        Rule(
            right=POLICY,
            yes="201 409",
            body={"listener": "sip", "verdict": "deny", "prefix": "198.51.100.0/24"},
        )
    ],
    f"DELETE {API}/address-rules/{{rule_id}}": [
        Rule(right=POLICY, yes="404 not-found", path={"rule_id": NO_ID})
    ],
    f"POST {API}/users/current/password": [
        Rule(
            needs="half", yes=NO_ENTRY, body={"current": "y", "new": "Wq7-zu-neu-4711"}
        )
    ],
    **PAGES,
}
