import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import Call, WebVault
from vault.core.flow import Reason, RecordingState

MISSING = "3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f"


class TestList:
    def test_a_supervisor_sees_only_their_workgroups(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        mine = shared_vault.record(Call(workgroup="sales"))
        other = shared_vault.record(Call(workgroup="support"))

        ids = [
            one["id"]
            for one in signed_in("ada").get("/api/v1/recordings").json()["items"]
        ]

        assert mine in ids
        assert other not in ids

    @pytest.mark.parametrize("name", ["olga", "adam", "carl"])
    def test_who_has_no_right_to_metadata_gets_an_empty_list(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        name: str,
    ) -> None:
        shared_vault.record()

        answer = signed_in(name).get("/api/v1/recordings")

        assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})

    def test_nobody_gets_401(self, nobody: Client) -> None:
        assert nobody.get("/api/v1/recordings").status_code == 401

    def test_party_finds_either_side_however_it_is_written(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        called = shared_vault.record(Call(callee="+43 1 58858"))
        calling = shared_vault.record(Call(caller="+43 (1) 588-58"))

        answer = signed_in("ada").get(
            "/api/v1/recordings", params={"party": "+43158858"}
        )

        assert {one["id"] for one in answer.json()["items"]} == {called, calling}

    def test_a_plus_that_nobody_escaped_is_a_plus(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        wanted = shared_vault.record(Call(caller="+46 8 556 96 001"))

        answer = signed_in("ada").get("/api/v1/recordings?party=+46855696001")

        assert [one["id"] for one in answer.json()["items"]] == [wanted]

    def test_agent_workgroup_state_and_days_narrow(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        wanted = shared_vault.record(
            Call(agent="Grace", state=RecordingState.PARTIAL, reason=Reason.CUT)
        )
        shared_vault.record(Call(agent="Grace"))

        answer = signed_in("ada").get(
            "/api/v1/recordings",
            params={"agent": "grace", "state": "partial", "workgroup": "Sales"},
        )
        past = signed_in("ada").get("/api/v1/recordings", params={"to": "2020-01-01"})

        assert [one["id"] for one in answer.json()["items"]] == [wanted]
        assert past.json()["items"] == []

    def test_a_foreign_workgroup_is_an_empty_list(self, signed_in: SignedInAs) -> None:
        client = signed_in("ada")

        foreign = client.get("/api/v1/recordings", params={"workgroup": "support"})
        unknown = client.get("/api/v1/recordings", params={"workgroup": "nowhere"})

        assert foreign.json() == unknown.json() == {"items": [], "next": None}

    def test_pages_follow_each_other_without_gap_or_repeat(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        for _ in range(3):
            shared_vault.record()
        client = signed_in("ada")
        whole = client.get("/api/v1/recordings", params={"limit": 200}).json()["items"]

        walked, cursor = [], None
        while True:
            params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = client.get("/api/v1/recordings", params=params).json()
            walked += page["items"]
            cursor = page["next"]
            if cursor is None:
                break

        assert walked == whole

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=201", "limit=x", "state=odd", "colour=red", "cursor=abc",
         "from=yesterday", "from=2026-11-23T06:16:09", "to=2026-02-30"],
    )  # fmt: skip
    def test_a_query_that_makes_no_sense_is_refused(
        self,
        signed_in: SignedInAs,
        query: str,
    ) -> None:
        answer = signed_in("ada").get(f"/api/v1/recordings?{query}")

        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/invalid-input"

    def test_list_and_search_are_on_the_trail_without_the_number(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        client = signed_in("ada")
        client.get("/api/v1/recordings")
        listed = shared_vault.leaves()[-1]
        client.get("/api/v1/recordings", params={"party": "+49 30 901820"})
        searched = shared_vault.leaves()[-1]

        assert listed["action"] == "recording.listed"
        assert searched["action"] == "recording.searched"
        assert searched["detail"]["fields"] == "party"
        assert "901820" not in str(shared_vault.leaves())

    def test_without_a_warden_there_is_no_list(
        self,
        own_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        client = signed_in("ada", own_vault)
        own_vault.stop_warden()

        answer = client.get("/api/v1/recordings")

        assert answer.status_code == 503
        assert answer.headers["retry-after"]


class TestOne:
    def test_what_was_sealed_is_shown_to_who_may_see_it(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        id = shared_vault.record(Call(attributes={"queue": "renewals"}))

        item = signed_in("ada").get(f"/api/v1/recordings/{id}").json()

        assert (item["id"], item["state"], item["reason"]) == (id, "ready", None)
        assert item["parties"] == [
            {"role": "caller", "number": "+49 30 901820"},
            {"role": "callee", "number": "+44 20 7946 0101"},
        ]
        assert item["duration_s"] == 4.0
        assert (item["workgroup"], item["agent"]) == ("sales", "ada")
        assert item["attributes"] == {"queue": "renewals"}
        assert [stream["label"] for stream in item["streams"]] == ["agent", "customer"]
        assert item["streams"][1]["packets_undecryptable"] == 2

    def test_a_call_in_progress_shows_what_its_row_says_and_no_more(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        id = shared_vault.record(Call(state=RecordingState.RECORDING))

        item = signed_in("ada").get(f"/api/v1/recordings/{id}").json()

        assert item["state"] == "recording"
        assert item.keys().isdisjoint({"parties", "agent", "started", "duration_s"})

    def test_the_view_is_on_the_trail(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        id = shared_vault.record()
        signed_in("ada").get(f"/api/v1/recordings/{id}")

        leaf = shared_vault.leaves()[-1]

        assert (leaf["action"], leaf["recording"]) == ("recording.metadata.read", id)

    @pytest.mark.parametrize("name", ["bob", "olga", "adam", "carl"])
    def test_forbidden_and_missing_are_the_same_answer(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        name: str,
    ) -> None:
        id = shared_vault.record(Call(workgroup="sales"))
        client = signed_in(name)

        forbidden = client.get(f"/api/v1/recordings/{id}")
        missing = client.get(f"/api/v1/recordings/{MISSING}")

        assert forbidden.status_code == missing.status_code == 404
        assert forbidden.content == missing.content

    @pytest.mark.parametrize("name", ["bob", "olga", "adam", "carl"])
    def test_a_refused_view_is_on_the_trail(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        name: str,
    ) -> None:
        id = shared_vault.record(Call(workgroup="sales"))
        signed_in(name).get(f"/api/v1/recordings/{id}")

        leaf = shared_vault.leaves()[-1]

        assert (leaf["action"], leaf["result"]) == ("access.refused", "refused")
        assert (leaf["recording"], leaf["right"]) == (id, "recording:metadata:read")

    @pytest.mark.parametrize(
        "id",
        [
            "..%2f..%2fetc",
            "%00",
            "%252e%252e",
            "x",
            MISSING.upper(),
            MISSING + ".",
            "{" + MISSING + "}",
        ],
    )
    def test_what_is_no_id_is_missing(self, signed_in: SignedInAs, id: str) -> None:
        answer = signed_in("ada").get(f"/api/v1/recordings/{id}")

        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"


class TestGrants:
    def test_a_grant_is_a_reference_with_an_end(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").post(
            f"/api/v1/recordings/{id}/grants", json={"reason": "a complaint"}
        )

        assert answer.status_code == 201
        assert answer.json().keys() == {"grant", "expires"}

    def test_the_body_may_be_left_out(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        id = shared_vault.record()

        assert (
            signed_in("ada").post(f"/api/v1/recordings/{id}/grants").status_code == 201
        )

    @pytest.mark.parametrize("name", ["bob", "olga", "adam", "carl"])
    def test_who_may_not_listen_gets_404_and_a_leaf(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        name: str,
    ) -> None:
        id = shared_vault.record()

        answer = signed_in(name).post(f"/api/v1/recordings/{id}/grants")
        leaf = shared_vault.leaves()[-1]

        assert answer.status_code == 404
        assert (leaf["action"], leaf["result"]) == ("access.refused", "refused")
        assert leaf["recording"] == id

    @pytest.mark.parametrize(
        "body",
        [{"media": "thoughts"}, {"ttl_s": 9}, {"reason": "x" * 501}, {"media": 1}],
    )
    def test_a_body_that_makes_no_sense_is_refused(
        self,
        shared_vault: WebVault,
        signed_in: SignedInAs,
        body: dict[str, object],
    ) -> None:
        id = shared_vault.record()

        answer = signed_in("ada").post(f"/api/v1/recordings/{id}/grants", json=body)

        assert answer.status_code == 422
