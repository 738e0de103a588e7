import pytest

from tests.simulators.sip_caller import Caller
from vault.sip.messages import Headers, Request, Response
from vault.sip.session_timer import (
    Agreed,
    Refresher,
    SessionTimer,
    TooSmall,
    agree,
    asked,
    granted,
    longer,
)


def invite(*more: tuple[str, str]) -> Request:
    return Caller().request("INVITE", *more)


class TestAgree:
    @pytest.mark.parametrize(
        ("supported", "said", "answer", "who"),
        [
            # RFC 4028, section 9, table 2, and our choice where it leaves one.
            ("", "1800", "1800;refresher=uas", Refresher.OURSELVES),
            ("timer", "1800", "1800;refresher=uac", Refresher.PEER),
            ("100rel, TIMER", "90;refresher=uac", "90;refresher=uac", Refresher.PEER),
            ("timer", "600 ; Refresher=UAS", "600;refresher=uas", Refresher.OURSELVES),
            (
                "timer",
                "600;x=1;refresher=uas",
                "600;refresher=uas",
                Refresher.OURSELVES,
            ),
        ],
    )
    def test_the_peer_refreshes_unless_only_we_can(
        self, supported: str, said: str, answer: str, who: Refresher
    ) -> None:
        found = agree(
            invite(("Supported", supported), ("Session-Expires", said)), min_se_s=90
        )

        assert isinstance(found, Agreed)
        assert ("Session-Expires", answer) == found.headers[0]
        assert found.timer is not None
        assert who == found.timer.refresher
        assert (("Require", "timer") in found.headers) == bool(supported)

    def test_require_says_that_the_peer_knows_timers(self) -> None:
        found = agree(
            invite(("Require", "timer"), ("Session-Expires", "90")), min_se_s=90
        )

        assert isinstance(found, Agreed)
        assert ("Require", "timer") in found.headers

    @pytest.mark.parametrize("said", [None, "", "soon", "-1", "1e9", "9999999999"])
    def test_whoever_asks_for_no_interval_gets_no_timer(self, said: str | None) -> None:
        more = () if said is None else (("Session-Expires", said),)

        assert Agreed(timer=None) == agree(
            invite(("Supported", "timer"), *more), min_se_s=90
        )

    def test_the_compact_form_is_read(self) -> None:
        found = agree(invite(("k", "timer"), ("x", "300")), min_se_s=90)

        assert isinstance(found, Agreed)
        assert 300 == found.timer.interval_s  # type: ignore[union-attr]

    def test_below_our_minimum_it_is_refused_with_the_minimum(self) -> None:
        request = invite(("Supported", "timer"), ("Session-Expires", "100"))

        assert TooSmall(headers=(("Min-SE", "120"),)) == agree(request, min_se_s=120)

    def test_a_proxy_that_asks_for_less_gets_the_least(self) -> None:
        found = agree(invite(("Session-Expires", "5")), min_se_s=90)

        assert isinstance(found, Agreed)
        assert ("Session-Expires", "90;refresher=uas") == found.headers[0]

    def test_no_interval_is_below_the_peers_own_minimum(self) -> None:
        found = agree(
            invite(
                ("Supported", "timer"), ("Session-Expires", "100"), ("Min-SE", "300")
            ),
            min_se_s=90,
        )

        assert isinstance(found, Agreed)
        assert ("Session-Expires", "300;refresher=uac") == found.headers[0]


class TestSessionTimer:
    def test_we_refresh_at_half_and_the_peer_has_all_of_it(self) -> None:
        ours = SessionTimer(interval_s=100, refresher=Refresher.OURSELVES)
        theirs = SessionTimer(interval_s=100, refresher=Refresher.PEER)

        assert (1050, 1100) == (ours.due_s(1000), ours.expires_s(1000))
        assert (1100, 1100) == (theirs.due_s(1000), theirs.expires_s(1000))

    def test_a_refresh_asks_for_what_holds(self) -> None:
        ours = SessionTimer(interval_s=600, refresher=Refresher.OURSELVES)
        theirs = SessionTimer(interval_s=600, refresher=Refresher.PEER)

        assert ("Session-Expires", "600;refresher=uac") in asked(ours)
        assert ("Session-Expires", "600;refresher=uas") in asked(theirs)
        assert ("Supported", "timer") in asked(ours)

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            (
                "600;refresher=uac",
                SessionTimer(interval_s=600, refresher=Refresher.OURSELVES),
            ),
            (
                "600;refresher=uas",
                SessionTimer(interval_s=600, refresher=Refresher.PEER),
            ),
            ("1", SessionTimer(interval_s=90, refresher=Refresher.OURSELVES)),
            ("never", None),
        ],
    )
    def test_the_answer_to_a_refresh_says_who_is_next(
        self, said: str, expected: SessionTimer | None
    ) -> None:
        headers = Headers((("Session-Expires", said),))

        assert expected == granted(Response(status=200, headers=headers))

    def test_a_refresh_that_is_too_small_grows_whatever_the_peer_says(self) -> None:
        timer = SessionTimer(interval_s=90, refresher=Refresher.OURSELVES)
        told = Response(status=422, headers=Headers((("Min-SE", "600"),)))

        assert 600 == longer(timer, told).interval_s
        assert 180 == longer(timer, Response(status=422)).interval_s
