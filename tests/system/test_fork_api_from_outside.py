"""The fork API as a PBX meets it: what is refused, and how it is said."""

import re

import httpx
import pytest

from tests.simulators.site import NUMBERS, Site, problem
from vault.tap.simulate import SimulatedCall

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]

NO_FORK = "/forks/3f1b8a52-0d3c-4c1a-9a40-6f1d9f0c7e11"


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "authorization",
        [None, "Bearer cvd_wrong", "Basic dXNlcjpwYXNz", "Bearer"],
    )
    def test_a_missing_or_wrong_token_is_401(
        self, site: Site, authorization: str | None
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = httpx.post(
            f"http://{site.vault.forks}/api/v1/forks",
            json={"sdp": SimulatedCall().build_offer()},
            headers=headers,
            timeout=30,
        )

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert problem(answer)["type"] == "/problems/not-authenticated"

    def test_a_token_with_a_control_character_is_no_request(self, site: Site) -> None:
        answer = httpx.post(
            f"http://{site.vault.forks}/api/v1/forks",
            json={"sdp": SimulatedCall().build_offer()},
            headers={"Authorization": "Bearer \x7f"},
            timeout=30,
        )

        assert answer.status_code == 400
        assert problem(answer)["type"] == "/problems/bad-request"

    def test_a_session_of_a_person_is_no_device(self, site: Site) -> None:
        answer = httpx.get(
            f"http://{site.vault.forks}/api/v1{NO_FORK}",
            headers={"Authorization": site.sam.headers["Authorization"]},
            timeout=30,
        )

        assert answer.status_code == 401

    def test_a_fork_of_another_device_is_as_absent_as_none(self, site: Site) -> None:
        call = site.pbx.begin(workgroup="Claims", **NUMBERS)
        offer = {"sdp": SimulatedCall().build_offer()}
        others = site.other_pbx.http

        for path in (f"/forks/{call.id}", NO_FORK):
            answers = (
                others.get(path),
                others.put(path, json=offer),
                others.patch(path, json={"state": "paused"}),
                others.delete(path),
            )
            assert {404} == {answer.status_code for answer in answers}
            assert len({answer.content for answer in answers}) == 1

        assert others.get(f"/forks/{call.id}").content == others.get(NO_FORK).content
        assert site.pbx.status(call)["state"] == "recording"
        site.pbx.end(call)


def _broken(offer: str, line: int) -> str:
    lines = offer.splitlines()
    lines[line - 1] = "this is not SDP"
    return "\r\n".join(lines) + "\r\n"


class TestWhatIsRefused:
    @pytest.mark.parametrize("line", [1, 4, 6])
    def test_malformed_sdp_is_400_and_names_the_line(
        self, site: Site, line: int
    ) -> None:
        answer = site.pbx.offer(_broken(SimulatedCall().build_offer(), line))

        said = problem(answer)
        assert (400, "/problems/malformed-sdp", line) == (
            answer.status_code,
            said["type"],
            said["line"],
        )

    @pytest.mark.parametrize(
        "suite", ["AES_CM_128_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "ROT13"]
    )
    def test_a_suite_that_we_do_not_take_is_422_and_names_the_line(
        self, site: Site, suite: str
    ) -> None:
        offer = re.sub(r"AES_CM_128_HMAC_SHA1_80", suite, SimulatedCall().build_offer())
        answer = site.pbx.offer(offer)

        said = problem(answer)
        named = offer.splitlines()[said["line"] - 1]
        assert (422, "/problems/unsupported-offer") == (
            answer.status_code,
            said["type"],
        )
        assert suite in named or named.startswith("m=audio")

    @pytest.mark.parametrize(
        "body",
        [
            b'{"sdp": "x", "color": "blue"}',
            b'{"sdp": "x", "call": {"shoe_size": 44}}',
            b'{"call": {}}',
            b'{"sdp": 7}',
            b"[]",
            b"{",
            b"\xff\xfe",
            b'{"sdp": "x", "call": {"direction": "sideways"}}',
        ],
    )
    def test_json_that_is_not_an_order_is_422(self, site: Site, body: bytes) -> None:
        answer = site.pbx.http.post(
            "/forks", content=body, headers={"Content-Type": "application/json"}
        )

        assert (422, "/problems/invalid-input") == (
            answer.status_code,
            problem(answer)["type"],
        )

    def test_a_refused_new_offer_leaves_the_call_as_it_was(self, site: Site) -> None:
        call = site.pbx.begin(seconds=1.0, workgroup="Claims", **NUMBERS)
        site.pbx.speak(call)

        refused = site.pbx.http.put(f"/forks/{call.id}", json={"sdp": "v=0\r\nnot"})
        site.pbx.end(call)

        assert refused.status_code == 400
        heard = site.wait(call)
        assert heard.state == ("ready", None)
        assert call.packets == heard.total("packets_authentic")


class TestTheEnd:
    def test_hanging_up_twice_is_no_error_and_the_state_stays_to_be_asked_for(
        self, site: Site
    ) -> None:
        call = site.pbx.place(seconds=1.0, workgroup="Claims", **NUMBERS)

        again = site.pbx.http.delete(f"/forks/{call.id}")
        status = site.pbx.status(call)
        late = site.pbx.http.patch(f"/forks/{call.id}", json={"state": "paused"})

        assert again.status_code == 204
        assert status["state"] == "captured"
        assert call.packets == sum(
            stream["packets_authentic"] for stream in status["streams"]
        )
        assert (409, "/problems/conflict") == (late.status_code, problem(late)["type"])

    def test_an_unknown_workgroup_refuses_no_call(self, site: Site) -> None:
        call = site.pbx.place(seconds=1.0, workgroup="No such team", **NUMBERS)

        stands = site.vault.json("recordings", "list")
        absent = site.sam.get(f"/recordings/{call.id}")

        assert call.id in {row["id"] for row in stands}
        assert absent.status_code == 404
