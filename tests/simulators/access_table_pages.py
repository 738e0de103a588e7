"""What every page answers to whom: the table, by hand; see `access_table`."""

from collections.abc import Mapping

from tests.simulators.access_fills import (
    NO_ID,
    REASON,
    SECRET,
    extension,
    own_session,
    own_token,
    session_of_somebody,
    somebody,
    token_of_somebody,
)
from tests.simulators.access_rules import PLAYED, SHREDDED, WAITING, Rule
from tests.simulators.access_world import (
    BREAK_GLASS,
    CLASSIFY,
    HEALTH,
    HOLDS,
    META,
    PEOPLE,
    PLACE,
    PLAY,
    POLICY,
    RELEASE,
    SESSIONS,
    TEXTS,
    TRAIL,
    TRAIL_OUT,
)

PAGES: Mapping[str, list[Rule]] = {
    "GET /": [Rule(yes="200 303")],
    "GET /sign-in": [Rule(anyone=True, yes="200 303 401")],
    # Without a provider there is nothing of one.
    "GET /sign-in/oidc": [Rule(anyone=True, yes="404")],
    "GET /sign-in/oidc/callback": [Rule(anyone=True, yes="404")],
    "GET /sign-in/oidc/signed-out": [Rule(anyone=True, yes="200 303 404")],
    "GET /sign-in/oidc/sign-out": [Rule(anyone=True, yes="404")],
    "POST /sign-in/oidc/back-channel-logout": [Rule(anyone=True, yes="404")],
    "POST /sign-in": [
        Rule(anyone=True, yes="401", body={"user": "x", "password": "y"}),
        Rule(anyone=True, yes="401", body={"user": "disabled"} | SECRET),
    ],
    "POST /sign-out": [Rule(needs="locked", yes="303")],
    "POST /unlock": [
        Rule(needs="locked", yes="303", body=SECRET),
        Rule(needs="locked", yes="401", body={"password": "y"}),
    ],
    "POST /step-up": [
        Rule(needs="half", yes="303", body=SECRET),
        Rule(needs="half", yes="401", body={"password": "y"}),
    ],
    "GET /recordings": [Rule()],
    "GET /recordings/{recording_id}": [Rule(over=META)],
    "GET /recordings/{recording_id}/state": [
        Rule(over=META, states=dict.fromkeys(WAITING, "204"))
    ],
    "POST /recordings/{recording_id}/reason": [
        Rule(over=PLAY, yes="303", states=PLAYED, body=REASON)
    ],
    "POST /recordings/{recording_id}/approval": [
        Rule(over=PLAY, yes="303 409 410", asks=True, body=REASON)
    ],
    "GET /holds": [Rule(right=HOLDS)],
    "GET /holds/{recording_id}": [Rule(over=PLACE)],
    "POST /recordings/{recording_id}/hold": [
        Rule(over=PLACE, yes="303", states=SHREDDED, body=REASON, changes=True)
    ],
    "POST /recordings/{recording_id}/release": [
        Rule(
            over=RELEASE,
            yes="303",
            proof=True,
            states=SHREDDED,
            body=REASON,
            changes=True,
        )
    ],
    "POST /recordings/{recording_id}/class": [
        Rule(over=CLASSIFY, yes="303", changes=True)
    ],
    "GET /approvals": [Rule()],
    "POST /approvals/{approval_id}": [
        Rule(yes="404", path={"approval_id": NO_ID}, body={"decision": "approve"})
    ],
    "POST /emergency": [Rule(right=BREAK_GLASS, yes="303", body=REASON)],
    "POST /emergency/{user_id}/end": [Rule(yes="404", path={"user_id": NO_ID})],
    "GET /audit": [Rule(right=TRAIL)],
    "GET /audit/report": [Rule(right=TRAIL)],
    "GET /audit/filter": [Rule(right=TRAIL, yes="303")],
    "GET /audit/tail": [Rule(right=TRAIL)],
    "GET /audit/export": [Rule(right=TRAIL_OUT)],
    "GET /audit/entries/{index}": [Rule(right=TRAIL, path={"index": "0"})],
    "GET /audit/entries/{index}/proof": [Rule(right=TRAIL, path={"index": "0"})],
    "POST /audit/searches": [
        Rule(right=TRAIL, yes="303", body={"name": "own", "query": "-actor:me"})
    ],
    "POST /audit/searches/{search_id}/remove": [
        Rule(right=TRAIL, yes="404", path={"search_id": NO_ID})
    ],
    "GET /audit/{index}/text": [Rule(right=TEXTS, yes="404", path={"index": "0"})],
    "GET /extensions": [Rule(right=POLICY)],
    "POST /extensions": [
        Rule(right=POLICY, yes="303", body={"pattern": "4711", "agent": "ada"})
    ],
    "POST /extensions/{extension_id}/remove": [
        Rule(right=POLICY, yes="303", fill=extension)
    ],
    "GET /account": [Rule()],
    "GET /account/password": [Rule(needs="half")],
    "POST /account/password": [
        Rule(needs="half", yes="401 422", body={"current": "y", "new": "z"})
    ],
    "GET /account/factors": [Rule(needs="half", proof=True)],
    "POST /account/factors/proof": [
        Rule(needs="half", yes="303 401 422", body={"otp": "000000"})
    ],
    "POST /account/sessions/{session_id}/end": [Rule(yes="303", fill=own_session)],
    "POST /account/tokens": [
        Rule(yes="200", proof=True, body={"name": "matrix", "days": "7"})
    ],
    "POST /account/tokens/{token_id}/revoke": [Rule(yes="303", fill=own_token)],
    "GET /people": [Rule(right=PEOPLE)],
    "POST /people": [
        Rule(right=PEOPLE, yes="200 303 409 422", body={"name": "newcomer"})
    ],
    "GET /people/{user_id}": [Rule(right=PEOPLE, fill=somebody)],
    "POST /people/{user_id}": [Rule(right=PEOPLE, yes="200 303", fill=somebody)],
    "POST /people/{user_id}/code": [Rule(right=PEOPLE, yes="200 422", fill=somebody)],
    "POST /people/{user_id}/factors/reset": [
        Rule(right=PEOPLE, yes="404 409", proof=True, path={"user_id": NO_ID})
    ],
    "POST /people/{user_id}/shut": [
        Rule(right=PEOPLE, yes="404", path={"user_id": NO_ID})
    ],
    "POST /people/{user_id}/open": [
        Rule(right=PEOPLE, yes="404", path={"user_id": NO_ID})
    ],
    "POST /people/{user_id}/sessions/{session_id}/end": [
        Rule(right=SESSIONS, yes="303", no="404", fill=session_of_somebody)
    ],
    "POST /people/{user_id}/tokens/{token_id}/revoke": [
        Rule(right=SESSIONS, yes="303", no="404", fill=token_of_somebody)
    ],
    "GET /workgroups": [Rule(right=POLICY)],
    "POST /workgroups": [
        Rule(right=POLICY, yes="200 303 409 422", body={"name": "matrix"})
    ],
    "POST /workgroups/{workgroup_id}": [
        Rule(
            right=POLICY,
            yes="404 422",
            path={"workgroup_id": NO_ID},
            body={"name": "x"},
        )
    ],
    "POST /devices": [
        Rule(right=POLICY, yes="200 303 409 422", body={"name": "pbx-matrix"})
    ],
    "GET /devices/{device_id}": [
        Rule(right=POLICY, yes="404", path={"device_id": NO_ID})
    ],
    "POST /devices/{device_id}": [
        Rule(right=POLICY, yes="404 422", path={"device_id": NO_ID})
    ],
    "POST /devices/{device_id}/renew": [
        Rule(right=POLICY, yes="404 422", path={"device_id": NO_ID})
    ],
    "POST /devices/{device_id}/revoke": [
        Rule(right=POLICY, yes="404 422", path={"device_id": NO_ID})
    ],
    "GET /sessions": [Rule(right=SESSIONS)],
    "POST /sessions/{session_id}/end": [
        Rule(right=SESSIONS, yes="303", no="403 404", fill=session_of_somebody)
    ],
    "POST /sessions/tokens/{token_id}/revoke": [
        Rule(right=SESSIONS, yes="303", no="403 404", fill=token_of_somebody)
    ],
    "GET /addresses": [Rule(right=POLICY)],
    "POST /addresses": [
        Rule(
            right=POLICY,
            yes="200 303 409 422",
            body={"listener": "sip", "verdict": "deny", "prefix": "198.51.100.0/24"},
        )
    ],
    "POST /addresses/{rule_id}/remove": [
        Rule(right=POLICY, yes="404 422", path={"rule_id": NO_ID})
    ],
    "GET /policies": [Rule(right=POLICY)],
    "POST /policies/rights": [Rule(right=POLICY, yes="200 303 404 409 422", body={})],
    "POST /policies/rights/{right_id}/revoke": [
        Rule(right=POLICY, yes="404 422", path={"right_id": NO_ID})
    ],
    "POST /policies/classes": [
        Rule(right=POLICY, yes="200 303 409 422", body={"name": "matrix"})
    ],
    "POST /policies/classes/{name}/remove": [
        Rule(right=POLICY, yes="404 422", path={"name": "none"})
    ],
    "GET /activate": [Rule(anyone=True)],
    "POST /activate": [
        Rule(anyone=True, yes="401 422", body={"user": "x", "code": "y"} | SECRET)
    ],
    "GET /devices": [Rule(right=POLICY)],
    "GET /health": [Rule(right=HEALTH)],
}
