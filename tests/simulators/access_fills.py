"""What paths and bodies of the matrix name: made for one asker, for one request."""

from collections.abc import Mapping

from tests.simulators.access_world import KINDS, AccessWorld
from tests.simulators.web_vault import PASSWORD

SECRET = {"password": PASSWORD}
REASON = {"reason": "complaint 4711 of the court"}
NO_ENTRY = "401 not-authenticated"
NO_ID = "3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f"


def own_token(world: AccessWorld, asker: str) -> Mapping[str, str]:
    if not KINDS[asker].is_in:
        return {"token_id": NO_ID}
    made = world.services.tokens.add(world.people[asker], "matrix", ttl_s=60)
    return {"token_id": made.listed.id}


def token_of_another(world: AccessWorld, asker: str) -> Mapping[str, str]:
    other = "quality" if asker == "supervisor" else "supervisor"
    return own_token(world, other)


def own_session(world: AccessWorld, asker: str) -> Mapping[str, str]:
    if not KINDS[asker].is_in:
        return {"session_id": NO_ID}
    return {"session_id": world.sessions.open(world.people[asker]).session.id}


def session_of_another(world: AccessWorld, asker: str) -> Mapping[str, str]:
    return own_session(world, "quality" if asker == "supervisor" else "supervisor")


def somebody(world: AccessWorld, _asker: str) -> Mapping[str, str]:
    """Return somebody nobody else here asks as."""
    if "somebody" not in world.people:
        world.people["somebody"] = world.vault.person("somebody")
    return {"user_id": world.people["somebody"]}


def session_of_somebody(world: AccessWorld, asker: str) -> Mapping[str, str]:
    person = somebody(world, asker)
    opened = world.sessions.open(world.people["somebody"])
    return {**person, "session_id": opened.session.id}


def token_of_somebody(world: AccessWorld, asker: str) -> Mapping[str, str]:
    person = somebody(world, asker)
    made = world.services.tokens.add(world.people["somebody"], "matrix", ttl_s=60)
    return {**person, "token_id": made.listed.id}


def extension(world: AccessWorld, _asker: str) -> Mapping[str, str]:
    entry = world.services.extensions.put(
        "+49 30 1234", agent="ada", workgroup="", tell=lambda _: None
    )
    return {"extension_id": entry.entry.id}
