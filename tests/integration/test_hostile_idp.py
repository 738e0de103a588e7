"""A provider that lies, and browsers that bring its lies: H30 to H41 of the catalogue.

Every one of them ends in 401 and a leaf with the reason; nobody comes in.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from tests.simulators.asgi import client_for
from tests.simulators.hostile_idp import (
    CLIENT_ID,
    HostileIdp,
    Reply,
    hostile_idp,
    json_reply,
    raw_token,
)
from tests.simulators.oidc_site import OidcSite, oidc_site
from tests.simulators.web_vault import WebVault, running
from vault.access.id_tokens import Client
from vault.access.oidc import OidcConfig
from vault.access.provider import ClientProof, Provider
from vault.access.provider_http import ProviderHttp, ProviderHttpConfig
from vault.core.clock import NS_PER_S
from vault.core.origins import Origin
from vault.edge.config import EdgeConfig
from vault.web.config import WebConfig

pytestmark = pytest.mark.network
HTML = {"Accept": "text/html"}
BEGIN = "/sign-in/oidc"
CALLBACK = "/sign-in/oidc/callback"
LOGOUT = "/sign-in/oidc/back-channel-logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(kw_only=True)
class Stage:
    """The vault, the provider, and one browser."""

    vault: WebVault
    site: OidcSite
    idp: HostileIdp
    browser: httpx.Client
    state: str = ""
    nonce: str = ""

    def begin(self, query: str = "") -> "Stage":
        """Follow the button as a new browser; remember what the provider was told."""
        self.browser.cookies.clear()
        answer = self.browser.get(BEGIN + query, headers=HTML)
        assert answer.status_code == 303, answer.text
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        self.state, self.nonce = told["state"][0], told["nonce"][0]
        return self

    def come_back(self, **parameters: str | None) -> httpx.Response:
        """Bring a code back, but for *parameters*; None removes one."""
        brought = {
            "code": "a-code",
            "state": self.state,
            "iss": self.idp.issuer,
            **parameters,
        }
        query = {name: it for name, it in brought.items() if it is not None}
        return self.browser.get(CALLBACK, params=query, headers=HTML)

    def refusal(self) -> object:
        """Return the newest leaf's reason; it must be of a refused sign-in."""
        leaf = self.vault.leaves()[-1]
        assert leaf["action"] == "access.session.refused", leaf
        assert leaf["detail"] == {"source": "oidc"}
        return leaf["reason"]

    def tries(self, id_token: str) -> tuple[int, object]:
        """Come back with *id_token*; return the status and the trail's reason."""
        self.idp.gives(id_token)
        answer = self.come_back()
        assert "__Host-callvault=" not in str(answer.headers.get_list("set-cookie"))
        return answer.status_code, self.refusal()

    def claims(self, **changes: object) -> dict[str, object]:
        """Return sound claims for this sign-in, but for *changes*."""
        return self.idp.claims(self.nonce, **changes)


def _provider(idp: HostileIdp, vault: WebVault, within_s: float = 5.0) -> Provider:
    config = ProviderHttpConfig(
        origins=frozenset({Origin.of_url(idp.issuer)}),
        private_addresses=True,
        loopback_http=True,
        within_s=within_s,
    )
    client = Client(issuer=idp.issuer, client_id=CLIENT_ID)
    return Provider(client, ClientProof(), ProviderHttp(config), clock=vault.clock)


def _stage(vault: WebVault, idp: HostileIdp, within_s: float = 5.0) -> Stage:
    site = oidc_site(
        vault,
        _provider(idp, vault, within_s),
        OidcConfig(
            label="Example Company",
            redirect_uri="https://vault.test/sign-in/oidc/callback",
            home_uri="https://vault.test/sign-in",
            second_factor=frozenset({"mfa"}),
        ),
    )
    return Stage(vault=vault, site=site, idp=idp, browser=client_for(site.app()))


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebVault]:
    """One vault for all of them."""
    config = WebConfig(edge=EdgeConfig(requests_per_minute=100_000))
    with running(tmp_path_factory.mktemp("vault"), config) as vault:
        vault.crew()
        yield vault


@pytest.fixture
def idp() -> Iterator[HostileIdp]:
    """A provider that lies."""
    with hostile_idp() as idp:
        yield idp


@pytest.fixture
def stage(vault: WebVault, idp: HostileIdp) -> Stage:
    """A fresh browser and a fresh view of the provider."""
    return _stage(vault, idp)


class TestASoundToken:
    @pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
    def test_of_every_algorithm_that_is_taken_lets_somebody_in(
        self, stage: Stage, alg: str
    ) -> None:
        stage.begin("?next=/recordings")
        stage.idp.gives(stage.idp.sign(stage.claims(), alg))

        answer = stage.come_back()

        assert answer.status_code == 200
        assert "url=/recordings" in answer.text
        assert stage.browser.get("/recordings", headers=HTML).status_code == 200

    def test_is_asked_for_with_a_proof_key_and_nothing_else_in_the_url(
        self, stage: Stage
    ) -> None:
        answer = stage.browser.get(BEGIN, headers=HTML)

        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert ("code", "query", "S256", CLIENT_ID, "openid profile") == tuple(
            told[name][0]
            for name in (
                "response_type",
                "response_mode",
                "code_challenge_method",
                "client_id",
                "scope",
            )
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-callvault-oidc=")
        assert all(
            word in cookie for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/")
        )

    def test_is_fetched_with_the_verifier_of_the_challenge(self, stage: Stage) -> None:
        answer = stage.browser.get(BEGIN, headers=HTML)
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        stage.state, stage.nonce = told["state"][0], told["nonce"][0]
        stage.idp.gives(stage.idp.sign(stage.claims()))

        stage.come_back()

        form = parse_qs(stage.idp.sent[stage.idp.asked.index(("POST", "/token"))][1])
        digest = hashlib.sha256(form[b"code_verifier"][0]).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert [challenge] == told["code_challenge"]
        assert [b"https://vault.test/sign-in/oidc/callback"] == form[b"redirect_uri"]

    def test_makes_an_account_that_the_trail_knows_before_and_after(
        self, stage: Stage
    ) -> None:
        stage.begin()
        stage.idp.gives(
            stage.idp.sign(stage.claims(sub="new-one", preferred_username="nina"))
        )

        stage.come_back()

        nina = stage.vault.people.by_name("nina")
        added = [one for one in stage.vault.leaves() if one["action"].endswith("added")]
        assert {"user": nina.id, "source": "oidc", "role": "supervisor"} == added[-1][
            "detail"
        ]
        assert {"after"} == set(added[-1]["text"])


Forge = Callable[[Stage], str]


def _with_my_key(stage: Stage, **header: object) -> str:
    mine = RSAKey.generate_key(2048, {"kid": "rsa"})
    if "jwk" in header:
        header["jwk"] = mine.as_dict(private=False)
    return stage.idp.sign(stage.claims(), key=mine, **header)


def _with_the_public_key(stage: Stage) -> str:
    public = stage.idp.rsa.as_pem(private=False)
    return stage.idp.sign(stage.claims(), "HS256", secret=public, kid="rsa")


def _claiming(**changes: object) -> Forge:
    return lambda stage: stage.idp.sign(stage.claims(**changes))


def _unsigned(alg: str) -> Forge:
    return lambda stage: raw_token({"alg": alg, "kid": "rsa"}, stage.claims(), b"x")


FORGERIES: Sequence[tuple[str, Forge, str]] = (
    ("h30-none", _unsigned("none"), "algorithm"),
    ("h30-None", _unsigned("None"), "algorithm"),
    ("h30-nOnE", _unsigned("nOnE"), "algorithm"),
    ("h31-hs256-with-the-public-key", _with_the_public_key, "algorithm"),
    ("h32-jwk-in-the-header", lambda it: _with_my_key(it, jwk=True), "header"),
    ("h33-jku", lambda it: _with_my_key(it, jku=f"{it.idp.issuer}/my-keys"), "header"),
    ("h33-x5u", lambda it: _with_my_key(it, x5u=f"{it.idp.issuer}/my-keys"), "header"),
    (
        "h34-kid-is-a-path",
        lambda it: it.idp.sign(it.claims(), kid="../../dev/null"),
        "key-unknown",
    ),
    (
        "h34-kid-is-sql",
        lambda it: it.idp.sign(it.claims(), kid="rsa' OR '1'='1"),
        "key-unknown",
    ),
    (
        "h35-crit",
        lambda it: it.idp.sign(it.claims(), crit=["unheard"], unheard=1),
        "header",
    ),
    (
        "h36-another-kind-of-key",
        lambda it: it.idp.sign(it.claims(), "ES256", kid="rsa"),
        "key-unknown",
    ),
    ("h36-another-key", _with_my_key, "signature"),
    ("h37-aud", _claiming(aud="another-client"), "audience"),
    ("h37-iss", _claiming(iss="https://accounts.evil.test"), "issuer"),
    ("h37-azp", _claiming(azp="another-client"), "authorized-party"),
    ("h38-nonce-of-another-sign-in", _claiming(nonce="an-older-one"), "nonce"),
    ("h39-expired", _claiming(exp=1), "expired"),
    ("h39-not-yet", _claiming(nbf=32_503_680_000), "not-yet"),
    ("h40-at-hash", _claiming(at_hash="wrong"), "at-hash"),
)


class TestForgedTokens:
    @pytest.mark.parametrize(
        ("forge", "reason"),
        [pytest.param(forge, reason, id=row) for row, forge, reason in FORGERIES],
    )
    def test_h30_to_h40_a_forged_token_is_a_401_with_its_reason_on_the_trail(
        self, stage: Stage, forge: Forge, reason: str
    ) -> None:
        stage.begin()

        assert (401, reason) == stage.tries(forge(stage))

    @pytest.mark.parametrize("member", ["jku", "x5u"])
    def test_h33_a_key_of_another_address_is_not_fetched(
        self, stage: Stage, member: str
    ) -> None:
        stage.begin()
        mine = RSAKey.generate_key(2048, {"kid": "rsa"})
        header = {member: f"{stage.idp.issuer}/my-keys"}
        stage.idp.replies["/my-keys"] = json_reply({"keys": [mine.as_dict()]})

        outcome = stage.tries(stage.idp.sign(stage.claims(), key=mine, **header))

        assert (401, "header") == outcome
        assert ("GET", "/my-keys") not in stage.idp.asked

    def test_h38_an_answer_counts_once(self, stage: Stage) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        cookie = stage.browser.cookies["__Host-callvault-oidc"]
        first = stage.come_back()
        asked = len(stage.idp.asked)
        stage.browser.cookies.clear()
        stage.browser.cookies.set("__Host-callvault-oidc", cookie)

        second = stage.come_back()

        assert (200, 401) == (first.status_code, second.status_code)
        assert stage.refusal() == "ceremony"
        assert asked == len(stage.idp.asked)

    @pytest.mark.parametrize("state", ["", "another", None])
    def test_h38_a_state_that_was_not_given_uses_the_sign_in_up(
        self, stage: Stage, state: str | None
    ) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        cookie = stage.browser.cookies["__Host-callvault-oidc"]

        answer = stage.come_back(state=state)
        reason = stage.refusal()
        stage.browser.cookies.set("__Host-callvault-oidc", cookie)
        again = stage.come_back()

        assert (401, "state", 401) == (answer.status_code, reason, again.status_code)
        assert ("POST", "/token") not in stage.idp.asked

    def test_h38_another_browser_can_not_finish_it(self, stage: Stage) -> None:
        """Login CSRF: the attacker's code and state, the victim's browser."""
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        stage.browser.cookies.clear()

        answer = stage.come_back()

        assert (401, "ceremony") == (answer.status_code, stage.refusal())

    def test_h38_nor_with_a_sign_in_of_its_own(self, stage: Stage) -> None:
        stage.begin()
        attackers = stage.state
        stage.begin()

        answer = stage.come_back(state=attackers)

        assert (401, "state") == (answer.status_code, stage.refusal())

    def test_h40_the_same_subject_of_another_provider_is_somebody_else(
        self, stage: Stage, vault: WebVault
    ) -> None:
        stage.begin()
        stage.idp.gives(
            stage.idp.sign(stage.claims(sub="shared", preferred_username="first"))
        )
        stage.come_back()
        with hostile_idp() as other:
            there = _stage(vault, other).begin()
            other.gives(
                other.sign(there.claims(sub="shared", preferred_username="second"))
            )
            there.come_back()

        ids = {vault.people.by_name(name).id for name in ("first", "second")}
        assert len(ids) == 2

    @pytest.mark.parametrize("name", ["ada", "ADA", "lena-of-h40"])
    def test_h40_the_same_name_is_not_the_same_person(
        self, stage: Stage, name: str
    ) -> None:
        stage.begin()
        stage.idp.gives(
            stage.idp.sign(stage.claims(sub="h40", preferred_username="lena-of-h40"))
        )
        stage.come_back()
        stage.begin()

        assert (401, "no-account") == stage.tries(
            stage.idp.sign(stage.claims(sub="h40-other", preferred_username=name))
        )

    def test_h40_userinfo_of_another_person_is_refused(self, stage: Stage) -> None:
        stage.begin()
        stage.idp.userinfo = {"sub": "1002", "groups": ["/admins"]}

        assert (401, "userinfo-subject") == stage.tries(
            stage.idp.sign(stage.claims(groups=None))
        )

    def test_h40_userinfo_adds_what_the_token_does_not_say_and_no_more(
        self, stage: Stage
    ) -> None:
        stage.begin()
        stage.idp.userinfo = {
            "sub": "adds",
            "preferred_username": "someone-else",
            "groups": ["auditors"],
        }
        claims = stage.claims(sub="adds", preferred_username="adela", groups=None)
        stage.idp.gives(stage.idp.sign(claims))

        assert stage.come_back().status_code == 200
        assert {"officer"} == stage.vault.people.by_name("adela").roles

    @pytest.mark.parametrize("iss", ["https://accounts.evil.test", "", None])
    def test_h41_an_answer_of_another_provider_keeps_its_code(
        self, stage: Stage, iss: str | None
    ) -> None:
        """Mix-up: the code of an honest provider must not reach the attacker's."""
        stage.begin()

        answer = stage.come_back(iss=iss)

        assert (401, "mix-up") == (answer.status_code, stage.refusal())
        assert ("POST", "/token") not in stage.idp.asked

    def test_h41_a_disabled_person_with_a_live_token_stays_outside(
        self, stage: Stage
    ) -> None:
        stage.begin()
        claims = {"sub": "leaver", "preferred_username": "leon"}
        stage.idp.gives(stage.idp.sign(stage.claims(**claims)))
        stage.come_back()
        leon = stage.vault.people.by_name("leon")
        inside = stage.browser.get("/recordings", headers=HTML).status_code

        stage.vault.people.disable(leon.id)

        outside = stage.browser.get("/recordings", headers=HTML).status_code
        assert (200, 303) == (inside, outside)
        stage.begin()
        assert (401, "no-account") == stage.tries(
            stage.idp.sign(stage.claims(**claims))
        )

    def test_h41_who_lost_every_group_is_out_at_the_next_sign_in(
        self, stage: Stage
    ) -> None:
        stage.begin()
        stage.idp.gives(
            stage.idp.sign(stage.claims(sub="demoted", preferred_username="dan"))
        )
        stage.come_back()
        stage.begin()

        assert (401, "no-account") == stage.tries(
            stage.idp.sign(
                stage.claims(
                    sub="demoted",
                    preferred_username="dan",
                    groups=[],
                    auth_time=time.time(),
                )
            )
        )


class TestCallback:
    @pytest.mark.parametrize("target", ["//evil.test", "https://evil.test", "/\\evil"])
    def test_leads_to_a_path_of_ours_alone(self, stage: Stage, target: str) -> None:
        stage.begin(f"?next={target}")
        stage.idp.gives(stage.idp.sign(stage.claims()))

        answer = stage.come_back(next=target, target=target)

        assert "evil" not in answer.text
        assert 'content="0;url=/"' in answer.text

    def test_with_an_error_says_so_and_nothing_of_it(self, stage: Stage) -> None:
        stage.begin()

        answer = stage.come_back(
            code=None, error="access_denied", error_description="<b>click here</b>"
        )

        assert (401, "provider-refused") == (answer.status_code, stage.refusal())
        assert "click here" not in answer.text

    def test_with_a_parameter_twice_is_refused(self, stage: Stage) -> None:
        stage.begin()

        answer = stage.browser.get(
            f"{CALLBACK}?state={stage.state}&code=a&code=b&iss={stage.idp.issuer}",
            headers=HTML,
        )

        assert (401, "parameters") == (answer.status_code, stage.refusal())

    @pytest.mark.parametrize(
        "answer",
        [
            {"error": "invalid_grant"},
            {"error": "invalid_client", "error_description": "<b>"},
        ],
    )
    def test_with_a_code_that_the_provider_does_not_take(
        self, stage: Stage, answer: dict[str, str]
    ) -> None:
        stage.begin()
        stage.idp.replies["/token"] = json_reply(answer, status=400)

        given = stage.come_back()

        assert given.status_code == 401
        assert stage.refusal() in {"code-refused", "client-refused"}

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_is_begun_by_nobody_elses_page(self, stage: Stage, site: str) -> None:
        answer = stage.browser.get(
            BEGIN, headers=HTML | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        )

        assert (303, "/sign-in") == (answer.status_code, answer.headers["location"])
        assert "set-cookie" not in answer.headers


class TestAnotherProof:
    def test_a_session_that_is_there_is_a_proof_no_longer(self, stage: Stage) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        stage.come_back()

        answer = stage.browser.get(BEGIN, headers=HTML)

        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert (["login"], ["0"]) == (told["prompt"], told["max_age"])

    @pytest.mark.parametrize(
        ("auth_time", "reason"),
        [(None, "claim-type"), (-3600, "auth-time"), ("now", "claim-type")],
    )
    def test_without_a_new_proof_is_none(
        self, stage: Stage, auth_time: object, reason: str
    ) -> None:
        stage.begin("?again=true")
        told = time.time() + auth_time if isinstance(auth_time, int) else auth_time

        assert (401, reason) == stage.tries(
            stage.idp.sign(stage.claims(auth_time=told))
        )

    def test_what_was_proved_long_ago_is_not_proved_now(self, stage: Stage) -> None:
        stage.begin()
        long_ago = int(time.time()) - 3600
        stage.idp.gives(stage.idp.sign(stage.claims(auth_time=long_ago)))

        stage.come_back()

        secret = stage.browser.cookies["__Host-callvault"]
        session = stage.site.services.sessions.lookup(secret)
        assert long_ago * NS_PER_S == session.authenticated_ns

    def test_opens_a_locked_session_by_replacing_it(self, stage: Stage) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        stage.come_back()
        sessions = stage.site.services.sessions
        first = sessions.lookup(stage.browser.cookies["__Host-callvault"])
        sessions.lock(first.id)

        answer = stage.browser.get(BEGIN, headers=HTML)
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        stage.state, stage.nonce = told["state"][0], told["nonce"][0]
        stage.idp.gives(stage.idp.sign(stage.claims(auth_time=int(time.time()))))
        stage.come_back()

        second = sessions.lookup(stage.browser.cookies["__Host-callvault"])
        assert ["login"] == told["prompt"]
        assert (first.user_id, False) == (second.user_id, second.is_locked)
        assert first.id not in {one.id for one in sessions.list()}

    def test_such_a_session_is_short(self, stage: Stage) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))

        stage.come_back()

        secret = stage.browser.cookies["__Host-callvault"]
        session = stage.site.services.sessions.lookup(secret)
        left_s = (session.expires_ns - stage.vault.clock()) / NS_PER_S
        assert 0 < left_s <= 4 * 3600

    @pytest.mark.parametrize(
        ("amr", "expected"),
        [
            (["pwd", "mfa"], ("oidc", "mfa")),
            # The provider's one-time code is not ours.
            (["pwd", "otp"], ("oidc",)),
            (None, ("oidc",)),
        ],
    )
    def test_a_second_factor_is_what_the_settings_name(
        self, stage: Stage, amr: object, expected: tuple[str, ...]
    ) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims(amr=amr)))

        stage.come_back()

        secret = stage.browser.cookies["__Host-callvault"]
        assert expected == stage.site.services.sessions.lookup(secret).methods


class TestProvidersThatAreNoProviders:
    @pytest.mark.parametrize(
        ("path", "reply", "reason"),
        [
            (
                "/.well-known/openid-configuration",
                Reply(status=302, headers={"Location": "http://169.254.169.254/"}),
                "provider-redirect",
            ),
            (
                "/.well-known/openid-configuration",
                Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
                "provider-metadata",
            ),
            (
                "/.well-known/openid-configuration",
                Reply(body=b"["),
                "provider-metadata",
            ),
            (
                "/.well-known/openid-configuration",
                Reply(body=b" " * 300_000),
                "provider-too-large",
            ),
        ],
    )
    def test_discovery_that_leads_elsewhere_is_refused(
        self, stage: Stage, path: str, reply: Reply, reason: str
    ) -> None:
        stage.idp.replies[path] = reply

        answer = stage.browser.get(BEGIN, headers=HTML)

        assert (401, reason) == (answer.status_code, stage.refusal())

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"issuer": "https://accounts.evil.test"}, "provider-issuer"),
            ({"issuer": None}, "provider-issuer"),
            ({"token_endpoint": "http://169.254.169.254/latest"}, "provider-address"),
            ({"jwks_uri": "file:///etc/passwd"}, "provider-address"),
            ({"jwks_uri": "http://127.0.0.1:1/keys"}, "provider-address"),
            ({"userinfo_endpoint": "http://localhost/"}, "provider-address"),
            ({"authorization_endpoint": "javascript:alert(1)"}, "provider-address"),
            ({"token_endpoint": None}, "provider-metadata"),
            ({"code_challenge_methods_supported": ["plain"]}, "provider-metadata"),
            (
                {"id_token_signing_alg_values_supported": ["none", "HS256"]},
                "provider-metadata",
            ),
            ({"response_types_supported": "code"}, "provider-metadata"),
        ],
    )
    def test_addresses_of_other_hosts_are_not_used(
        self, stage: Stage, changes: dict[str, object], reason: str
    ) -> None:
        stage.idp.metadata.update(changes)

        answer = stage.browser.get(BEGIN, headers=HTML)

        assert (401, reason) == (answer.status_code, stage.refusal())

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (Reply(body=b'{"keys": []}' + b" " * 300_000), "provider-too-large"),
            (
                Reply(body=b'{"keys": []}', headers={"Content-Type": "text/html"}),
                "provider-keys",
            ),
            (Reply(status=307, headers={"Location": "/keys2"}), "provider-redirect"),
            (Reply(body=b'{"keys": {}}'), "provider-keys"),
            (
                Reply(
                    body=b"\x1f\x8b",
                    headers={
                        "Content-Type": "application/json",
                        "Content-Encoding": "gzip",
                    },
                ),
                "provider-answer",
            ),
        ],
    )
    def test_keys_that_are_none_let_nobody_in(
        self, stage: Stage, reply: Reply, reason: str
    ) -> None:
        stage.begin()
        stage.idp.replies["/keys"] = reply

        assert (401, reason) == stage.tries(stage.idp.sign(stage.claims()))

    def test_keys_that_drip_are_not_waited_for(
        self, vault: WebVault, idp: HostileIdp
    ) -> None:
        stage = _stage(vault, idp, within_s=0.3).begin()
        idp.replies["/keys"] = Reply(body=b" " * 1000, drip_s=0.1)
        idp.gives(idp.sign(stage.claims()))

        answer = stage.come_back()

        assert (503, True) == (answer.status_code, "Retry-After" in answer.headers)

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    def test_a_provider_that_is_down_is_a_503_and_the_form_stays(
        self, stage: Stage, status: int
    ) -> None:
        stage.idp.replies["/.well-known/openid-configuration"] = Reply(status=status)

        answer = stage.browser.get(BEGIN, headers=HTML)

        assert answer.status_code == 503
        assert 'name="password"' in answer.text

    def test_nobody_listening_is_a_503(self, vault: WebVault) -> None:
        with hostile_idp() as gone:
            stage = _stage(vault, gone)

        answer = stage.browser.get(BEGIN, headers=HTML)

        assert answer.status_code == 503

    def test_a_key_that_is_missing_is_looked_for_again_and_not_again_at_once(
        self, stage: Stage
    ) -> None:
        for _ in range(5):
            stage.begin()
            stage.tries(stage.idp.sign(stage.claims(), kid="nobody's"))

        assert 1 <= stage.idp.asked.count(("GET", "/keys")) <= 2

    def test_a_new_key_is_found_when_it_is_needed(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims()))
        stage.come_back()
        new = RSAKey.generate_key(2048, {"kid": "of-today"})
        stage.idp.published = [new.as_dict(private=False)]
        later = stage.vault.clock() + 31 * NS_PER_S
        monkeypatch.setattr(
            stage.site.services.oidc.provider._keys, "_clock", lambda: later
        )
        stage.begin("?again=1")
        stage.idp.gives(
            stage.idp.sign(stage.claims(auth_time=int(time.time())), key=new)
        )

        assert stage.come_back().status_code == 200


class TestBackChannelLogout:
    def _signed_in(self, stage: Stage, **claims: object) -> None:
        stage.begin()
        stage.idp.gives(stage.idp.sign(stage.claims(sid="s-1", **claims)))
        assert stage.come_back().status_code == 200

    def _token(self, stage: Stage, **changes: object) -> str:
        claims = stage.idp.claims(
            "",
            nonce=None,
            preferred_username=None,
            groups=None,
            sid="s-1",
            jti=f"jti-{time.time_ns()}",
            events={EVENT: {}},
        )
        claims.update(changes)
        typ = claims.pop("typ", "logout+jwt")
        return stage.idp.sign(
            {name: it for name, it in claims.items() if it is not None}, typ=typ
        )

    def _inside(self, stage: Stage) -> bool:
        return stage.browser.get("/recordings", headers=HTML).status_code == 200

    def _posted(self, stage: Stage, token: str) -> httpx.Response:
        provider = client_for(stage.site.app())
        return provider.post(LOGOUT, data={"logout_token": token})

    @pytest.mark.parametrize("changes", [{}, {"sid": None}, {"sub": None}])
    def test_ends_the_session_or_all_of_the_person(
        self, stage: Stage, changes: dict[str, object]
    ) -> None:
        self._signed_in(stage)

        answer = self._posted(stage, self._token(stage, **changes))

        assert (200, False) == (answer.status_code, self._inside(stage))
        leaf = stage.vault.leaves()
        ended = [one for one in leaf if one["action"] == "access.session.ended"]
        assert {"how": "provider", "source": "oidc"} == ended[-1]["detail"]

    @pytest.mark.parametrize("changes", [{"sid": "another"}, {"sub": "another"}])
    def test_of_somebody_else_ends_nothing(
        self, stage: Stage, changes: dict[str, object]
    ) -> None:
        self._signed_in(stage)

        answer = self._posted(stage, self._token(stage, **changes))

        assert (200, True) == (answer.status_code, self._inside(stage))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"typ": "JWT"}, "token-type"),
            ({"aud": "another"}, "audience"),
            ({"exp": 1}, "expired"),
        ],
    )
    def test_that_is_none_ends_nothing(
        self, stage: Stage, changes: dict[str, object], reason: str
    ) -> None:
        self._signed_in(stage)

        answer = self._posted(stage, self._token(stage, **changes))

        assert (400, {"error": "invalid_request"}) == (
            answer.status_code,
            answer.json(),
        )
        assert (reason, True) == (stage.refusal(), self._inside(stage))

    def test_counts_once(self, stage: Stage) -> None:
        self._signed_in(stage)
        token = self._token(stage)
        first = self._posted(stage, token)
        self._signed_in(stage)

        second = self._posted(stage, token)

        assert (200, 400) == (first.status_code, second.status_code)
        assert ("sent-before", True) == (stage.refusal(), self._inside(stage))

    def test_an_id_token_is_no_logout_token(self, stage: Stage) -> None:
        self._signed_in(stage)
        token = stage.idp.token_answer["id_token"]

        answer = self._posted(stage, token)

        assert (400, "token-type") == (answer.status_code, stage.refusal())

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "a" * 20_000])
    def test_anything_else_is_refused(self, stage: Stage, token: str) -> None:
        answer = self._posted(stage, token)

        assert (400, "token-malformed") == (answer.status_code, stage.refusal())


class TestWithoutAProvider:
    @pytest.mark.parametrize("path", [BEGIN, CALLBACK, "/sign-in/oidc/sign-out"])
    def test_there_is_nothing_there(self, vault: WebVault, path: str) -> None:
        answer = client_for(vault.app()).get(path)

        assert answer.status_code == 404

    def test_the_form_has_no_button(self, vault: WebVault) -> None:
        assert "/sign-in/oidc" not in client_for(vault.app()).get("/sign-in").text


class TestLeaving:
    def test_leads_to_the_providers_own_sign_out(self, stage: Stage) -> None:
        answer = stage.browser.get("/sign-in/oidc/sign-out")

        assert (303, True) == (
            answer.status_code,
            answer.headers["location"].startswith(f"{stage.idp.issuer}/end?client_id="),
        )


def test_the_trail_has_no_name_and_no_token(tmp_path: Path, idp: HostileIdp) -> None:
    with running(tmp_path) as own:
        stage = _stage(own, idp).begin()
        token = idp.sign(stage.claims(sub="secretive", preferred_username="sophia"))
        idp.gives(token)
        stage.come_back()
        stage.begin()
        stage.come_back(error="server_error")
        trail = json.dumps(own.leaves())

    assert [] == [
        word
        for word in ("sophia", "secretive", token, "an-access-token", stage.state)
        if word in trail
    ]
