import pytest

from tests.simulators.web_vault import WebVault
from vault.access.policy import SessionKind
from vault.core.errors import NotAuthenticatedError, SessionLockedError
from vault.core.secrets import SecretBytes
from vault.web.identity import Asker, still_there

THERE = "192.0.2.7"


def asker(vault: WebVault, origin: str = THERE) -> Asker:
    opened = vault.services().sessions.open(
        vault.people.by_name("ada").id, kind=SessionKind.BROWSER, origin=origin
    )
    return Asker(
        session=opened.session,
        origin=origin,
        secret=SecretBytes(opened.secret.encode()),
        by_cookie=True,
    )


def deny(vault: WebVault, prefix: str) -> None:
    vault.services().address_rules.add("web", "deny", prefix, tell=lambda _: None)


@pytest.mark.parametrize(
    ("origin", "prefix"), [(THERE, "192.0.2.0/24"), ("2001:db8::7", "2001:db8::/32")]
)
def test_h18_a_rule_about_addresses_ends_what_goes_out_to_them(
    own_vault: WebVault, origin: str, prefix: str
) -> None:
    services, there = own_vault.services(), asker(own_vault, origin)
    still_there(services, there)
    deny(own_vault, prefix)

    with pytest.raises(NotAuthenticatedError):
        still_there(services, there)
    still_there(services, asker(own_vault, "203.0.113.9"))


def test_whoever_sits_at_the_machine_is_spared(own_vault: WebVault) -> None:
    deny(own_vault, "127.0.0.0/8")

    still_there(own_vault.services(), asker(own_vault, "127.0.0.1"))


def test_h8_what_goes_out_keeps_no_browser_session_open(own_vault: WebVault) -> None:
    services, there = own_vault.services(), asker(own_vault)
    for _ in range(2):
        own_vault.clock.advance(440)
        still_there(services, there)
    own_vault.clock.advance(20)

    with pytest.raises(SessionLockedError):
        still_there(services, there)


def test_h7_a_renewed_session_is_another_one(own_vault: WebVault) -> None:
    services, there = own_vault.services(), asker(own_vault)
    services.sessions.step_up(there.session.id, methods=("pwd",))

    with pytest.raises(NotAuthenticatedError):
        still_there(services, there)
