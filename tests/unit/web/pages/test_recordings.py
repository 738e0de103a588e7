import re

import pytest

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import Call, WebVault
from vault.access.permissions import Permission, ScopeKind
from vault.access.rights import HolderKind, NewRight
from vault.core.flow import Actor, ActorKind, Reason, RecordingState

HOSTILE = "<script>alert(1)</script>\"' onerror=x"


class TestList:
    def test_the_address_is_the_query(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        wanted = shared_vault.record(Call(caller="+420 224 177 111"))
        other = shared_vault.record()

        page = in_browser("ada").get("/recordings?party=%2B420224177111").text

        assert (wanted in page, other in page) == (True, False)
        assert 'value="+420224177111"' in page

    def test_an_empty_list_says_what_to_do(self, in_browser: SignedInAs) -> None:
        page = in_browser("ada").get("/recordings?to=2001-01-01").text

        assert "Nothing matches" in page

    @pytest.mark.parametrize("name", ["olga", "adam", "carl"])
    def test_who_sees_no_recordings_is_told_that_it_is_their_role(
        self, in_browser: SignedInAs, name: str
    ) -> None:
        page = in_browser(name).get("/recordings").text

        assert "Your role sees no recordings" in page
        assert "appear here" not in page

    def test_a_plus_that_nobody_escaped_is_a_plus(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        wanted = shared_vault.record(Call(caller="+47 22 20 39 55"))

        page = in_browser("ada").get("/recordings?party=+4722203955").text

        assert wanted in page
        assert 'value="+4722203955"' in page

    def test_empty_filters_of_a_form_narrow_nothing(
        self, in_browser: SignedInAs
    ) -> None:
        answer = in_browser("ada").get(
            "/recordings?from=&to=&party=&agent=&workgroup=&state="
        )

        assert answer.status_code == 200

    def test_a_filter_that_makes_no_sense_is_a_page_that_says_so(
        self, in_browser: SignedInAs
    ) -> None:
        answer = in_browser("ada").get("/recordings?state=odd")

        assert (answer.status_code, "no such state" in answer.text) == (422, True)

    def test_what_a_pbx_sent_is_text_and_never_markup(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        id = shared_vault.record(
            Call(
                caller=HOSTILE,
                callee=HOSTILE,
                agent=HOSTILE,
                attributes={HOSTILE: HOSTILE},
            )
        )
        client = in_browser("ada")

        pages = client.get("/recordings").text + client.get(f"/recordings/{id}").text

        assert "<script>alert" not in pages
        assert "&lt;script&gt;alert" in pages


class TestProtection:
    @pytest.mark.parametrize(
        ("suite", "words"),
        [
            ("PLAIN_RTP", "unencrypted media"),
            ("AES_CM_128_HMAC_SHA1_32", "weak authentication tag"),
        ],
    )
    def test_badly_protected_media_is_marked_in_the_list_and_beside_the_player(
        self,
        shared_vault: WebVault,
        in_browser: SignedInAs,
        suite: str,
        words: str,
    ) -> None:
        caller = "+41 44 628 0000"
        id = shared_vault.record(Call(caller=caller, suite=suite))
        client = in_browser("ada")
        listed = client.get("/recordings").text
        page = client.get(f"/recordings/{id}").text

        assert f">{words}</span>" in listed
        assert f"<strong>{words.capitalize()}.</strong>" in page
        assert 3 == page.lower().count(words)

    def test_well_protected_media_has_no_mark(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        id = shared_vault.record()
        page = in_browser("ada").get(f"/recordings/{id}").text

        assert "-protection" not in page


class TestRecording:
    @pytest.mark.parametrize(
        ("call", "words", "player"),
        [
            (Call(), "Play", True),
            (
                Call(state=RecordingState.PARTIAL, reason=Reason.CUT),
                "Part of this call is missing: the recording was interrupted",
                True,
            ),
            (
                Call(state=RecordingState.FAILED, reason=Reason.NO_MEDIA),
                "There is nothing to play: no media arrived.",
                False,
            ),
            (
                Call(
                    state=RecordingState.PARTIAL,
                    reason=Reason.SRTP_UNAUTHENTICATED,
                    seconds=0,
                ),
                "There is nothing to play: the encryption key did not fit.",
                False,
            ),
            (
                Call(
                    state=RecordingState.PARTIAL,
                    reason=Reason.CODEC_UNSUPPORTED,
                    seconds=0,
                ),
                "There is nothing to play: its codec can&#39;t be played yet.",
                False,
            ),
            (
                Call(state=RecordingState.RECORDING),
                "This call is still being recorded.",
                False,
            ),
        ],
    )
    def test_what_can_be_played_has_a_player_and_the_rest_says_why(
        self,
        shared_vault: WebVault,
        in_browser: SignedInAs,
        call: Call,
        words: str,
        player: bool,
    ) -> None:
        id = shared_vault.record(call)

        page = in_browser("ada").get(f"/recordings/{id}").text

        assert (words in page, "data-recording" in page) == (True, player)

    def test_another_workgroups_recording_is_the_page_of_what_is_missing(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        id = shared_vault.record(Call(workgroup="sales"))
        bob = in_browser("bob")

        foreign, missing = bob.get(f"/recordings/{id}"), bob.get("/recordings/x")

        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert foreign.text.replace(id, "x") == missing.text

    def test_a_page_that_fails_keeps_navigation_and_sign_out(
        self, in_browser: SignedInAs
    ) -> None:
        page = in_browser("bob").get("/recordings/x").text

        assert 'href="/recordings"' in page
        assert "Sign out" in page

    def test_a_waiting_page_draws_itself_again_when_there_is_news(
        self, shared_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        waiting = shared_vault.record(Call(state=RecordingState.RECORDING))
        ready = shared_vault.record()
        client = in_browser("ada")

        still = client.get(f"/recordings/{waiting}/state")
        news = client.get(f"/recordings/{ready}/state")

        assert (still.status_code, "hx-refresh" in still.headers) == (204, False)
        assert (news.status_code, news.headers["hx-refresh"]) == (200, "true")

    def test_without_a_warden_the_page_is_a_503_page(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        id = own_vault.record()
        client = in_browser("ada", own_vault)
        own_vault.stop_warden()

        answer = client.get(f"/recordings/{id}")

        assert answer.status_code == 503
        assert "+49 30 901820" not in answer.text

    def test_who_may_read_about_it_and_not_hear_it_gets_no_player(
        self, own_vault: WebVault, in_browser: SignedInAs
    ) -> None:
        id = own_vault.record()
        running = own_vault.record(Call(state=RecordingState.RECORDING))
        own_vault.services().duties.rights.add(
            NewRight(
                holder_kind=HolderKind.USER,
                holder=own_vault.people.by_name("carl").id,
                permission=Permission.RECORDING_METADATA_READ,
                scope_kind=ScopeKind.ALL,
            ),
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )
        carl = in_browser("carl", own_vault)
        page = carl.get(f"/recordings/{id}")
        waiting = carl.get(f"/recordings/{running}").text

        assert 200 == page.status_code
        assert "+49 30 901820" in page.text
        assert "You may read about this call, and not hear it." in page.text
        assert "data-audio" not in page.text
        assert "still being recorded" in waiting
        assert "shows the player" not in waiting
        assert "player" not in "".join(re.findall(r"<script[^>]+>", page.text))
        assert "access.refused" not in {one["action"] for one in own_vault.leaves()}
