import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import Call, WebVault
from vault.core.flow import Reason, RecordingState

PARTS = ("audio", "peaks", "capture")


class TestRanges:
    def test_without_a_range_all_of_it_comes(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").get(f"/api/v1/recordings/{id}/audio")

        assert answer.status_code == 200
        assert answer.content == shared_vault.audio()
        assert answer.headers["content-type"] == "audio/flac"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["cache-control"] == "private, no-store"

    @pytest.mark.parametrize(
        ("header", "start", "stop"),
        [
            ("bytes=0-1", 0, 2),  # Safari's first question
            ("bytes=0-0", 0, 1),
            ("bytes=16383-16384", 16383, 16385),  # across an edge of chunks
            ("bytes=100-", 100, None),
            ("bytes=-500", -500, None),
            ("bytes=0-99999999", 0, None),
        ],
    )
    def test_one_range_is_answered_exactly(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        header: str,
        start: int,
        stop: int | None,
    ) -> None:
        id = shared_vault.record()
        whole = shared_vault.audio()
        first = start if start >= 0 else len(whole) + start

        answer = signed_in("ada").get(
            f"/api/v1/recordings/{id}/audio", headers={"Range": header}
        )

        assert answer.status_code == 206
        assert answer.content == whole[start:stop]
        assert answer.headers["content-range"] == (
            f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"
        )

    @pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0"])
    def test_a_range_beyond_the_end_is_416_with_the_size(
        self, shared_vault: WebVault, signed_in: SignedInAs, header: str
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").get(
            f"/api/v1/recordings/{id}/audio", headers={"Range": header}
        )

        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(shared_vault.audio())}"
        assert answer.json()["type"] == "/problems/range-not-satisfiable"

    @pytest.mark.parametrize(
        "header",
        ["bytes=5-2", "bytes=1_0-2_0", "bytes=\u0660-\u0661", "bytes=a-b", "bytes=0-0,5-9", "octets=0-1", "bytes=+1-+2", "bytes=" + "0-1," * 20_000],
    )  # fmt: skip
    def test_what_is_no_single_range_is_ignored_or_refused_at_the_edge(
        self, shared_vault: WebVault, signed_in: SignedInAs, header: str
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").get(
            f"/api/v1/recordings/{id}/audio", headers={"Range": header.encode()}
        )

        assert answer.status_code in {200, 400}
        assert answer.status_code == 400 or answer.content == shared_vault.audio()

    def test_two_range_headers_are_no_range(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").get(
            f"/api/v1/recordings/{id}/audio",
            headers=[("Range", "bytes=0-1"), ("Range", "bytes=2-3")],
        )

        assert answer.status_code == 200

    def test_if_range_with_a_stale_validator_gets_all_of_it(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()
        client, url = signed_in("ada"), f"/api/v1/recordings/{id}/audio"
        etag = client.head(url).headers["etag"]

        fresh = client.get(url, headers={"Range": "bytes=0-1", "If-Range": etag})
        stale = client.get(url, headers={"Range": "bytes=0-1", "If-Range": '"old"'})

        assert (fresh.status_code, stale.status_code) == (206, 200)

    def test_head_says_what_get_would_and_sends_nothing(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").head(
            f"/api/v1/recordings/{id}/audio", headers={"Range": "bytes=0-1"}
        )

        assert answer.status_code == 200
        assert answer.content == b""
        assert answer.headers["content-length"] == str(len(shared_vault.audio()))


class TestRights:
    @pytest.mark.parametrize("part", PARTS)
    @pytest.mark.parametrize("name", ["bob", "olga", "adam", "carl"])
    def test_who_may_not_listen_is_told_there_is_nothing(
        self, shared_vault: WebVault, signed_in: SignedInAs, name: str, part: str
    ) -> None:
        id = shared_vault.record()
        client = signed_in(name)

        forbidden = client.get(f"/api/v1/recordings/{id}/{part}")
        missing = client.get(
            f"/api/v1/recordings/3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f/{part}"
        )

        assert (forbidden.status_code, forbidden.content) == (404, missing.content)

    @pytest.mark.parametrize("part", PARTS)
    def test_without_a_credential_it_is_401(
        self, shared_vault: WebVault, nobody: Client, part: str
    ) -> None:
        id = shared_vault.record()

        assert nobody.get(f"/api/v1/recordings/{id}/{part}").status_code == 401

    def test_the_key_is_on_the_trail_once_for_a_listening_session(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()
        client, url = signed_in("ada"), f"/api/v1/recordings/{id}/audio"
        for start in range(0, 9000, 1000):
            client.get(url, headers={"Range": f"bytes={start}-{start + 999}"})

        released = [
            leaf
            for leaf in shared_vault.leaves()
            if leaf["action"] == "recording.key.released" and leaf["recording"] == id
        ]

        assert len(released) == 1
        assert released[0]["right"] == "recording:media:play"

    def test_a_right_taken_away_ends_with_the_next_range(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record()
        client, url = signed_in("ada", own_vault), f"/api/v1/recordings/{id}/audio"
        before = client.get(url, headers={"Range": "bytes=0-9"}).status_code
        ada = own_vault.people.by_name("ada")
        own_vault.people.change(ada.id, workgroups=["support"])

        after = client.get(url, headers={"Range": "bytes=10-19"}).status_code

        assert (before, after) == (206, 404)

    def test_a_disabled_person_is_nobody_at_once(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record()
        client, url = signed_in("ada", own_vault), f"/api/v1/recordings/{id}/audio"
        client.get(url, headers={"Range": "bytes=0-9"})
        own_vault.people.disable(own_vault.people.by_name("ada").id)

        assert client.get(url).status_code == 401


class TestNoLogNoPlay:
    def test_without_a_warden_nothing_plays(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record()
        client = signed_in("ada", own_vault)
        own_vault.stop_warden()

        answer = client.get(f"/api/v1/recordings/{id}/audio")

        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/audit-unavailable"

    def test_a_key_that_is_here_already_plays_nothing_more_either(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record()
        client, url = signed_in("ada", own_vault), f"/api/v1/recordings/{id}/audio"
        first = client.get(url, headers={"Range": "bytes=0-9"}).status_code
        own_vault.stop_warden()

        then = client.get(url, headers={"Range": "bytes=10-19"}).status_code

        assert (first, then) == (206, 503)


class TestStates:
    @pytest.mark.parametrize(
        ("call", "status", "slug"),
        [
            (Call(state=RecordingState.RECORDING), 409, "not-ready"),
            (
                Call(state=RecordingState.FAILED, reason=Reason.NO_MEDIA),
                409,
                "no-media",
            ),
        ],
    )
    def test_what_cannot_be_played_says_why(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        call: Call,
        status: int,
        slug: str,
    ) -> None:
        id = shared_vault.record(call)

        answer = signed_in("ada").get(f"/api/v1/recordings/{id}/audio")

        assert (answer.status_code, answer.json()["type"]) == (
            status,
            f"/problems/{slug}",
        )
        assert ("retry-after" in answer.headers) == (slug == "not-ready")

    def test_there_is_no_screen(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").get(f"/api/v1/recordings/{id}/screen")

        assert (answer.status_code, answer.json()["type"]) == (
            409,
            "/problems/no-media",
        )

    def test_an_unknown_part_is_missing(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        assert signed_in("ada").get(f"/api/v1/recordings/{id}/soul").status_code == 404


class TestM4a:
    def test_it_is_asked_for_once_and_served_when_made(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()
        client, url = signed_in("ada"), f"/api/v1/recordings/{id}/audio?format=m4a"

        waiting = client.get(url)
        wanted = shared_vault.recordings.row(id).wanted
        shared_vault.add_m4a(id)
        made = client.get(url, headers={"Range": "bytes=4-7"})

        assert waiting.status_code == 409
        assert int(waiting.headers["retry-after"]) > 0
        assert wanted == ("audio/mp4",)
        assert (made.status_code, made.content) == (206, b"ftyp")
        assert made.headers["content-type"] == "audio/mp4"

    def test_only_audio_has_formats(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()
        client = signed_in("ada")

        peaks = client.get(f"/api/v1/recordings/{id}/peaks?format=m4a")
        wav = client.get(f"/api/v1/recordings/{id}/audio?format=wav")

        assert (peaks.status_code, wav.status_code) == (422, 422)


class TestDamage:
    def test_damage_at_the_start_is_an_answer_without_an_octet(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record()
        own_vault.damage(id, "rendition/0001", 100)

        answer = signed_in("ada", own_vault).get(f"/api/v1/recordings/{id}/audio")

        assert (answer.status_code, answer.json()["type"]) == (502, "/problems/damaged")
        assert "recording.damaged" in own_vault.actions()

    def test_an_intact_part_of_a_damaged_recording_still_plays(
        self, own_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = own_vault.record(Call(seconds=12))
        own_vault.damage(id, "rendition/0001", 100)

        answer = signed_in("ada", own_vault).get(
            f"/api/v1/recordings/{id}/audio", headers={"Range": "bytes=20000-20009"}
        )

        assert answer.content == own_vault.audio(12)[20000:20010]
