from dataclasses import replace

import pytest

from tests.simulators.sip_caller import OFFER, STRANGER, UDP, Caller
from vault.sip.dialogs import Dialog, Dialogs, Due
from vault.sip.session_timer import Refresher, SessionTimer

THEIRS = SessionTimer(interval_s=100, refresher=Refresher.PEER)
OURS = SessionTimer(interval_s=100, refresher=Refresher.OURSELVES)


def dialog_of(
    caller: Caller, tag: str = "ours", timer: SessionTimer | None = None
) -> Dialog:
    invite = caller.request("INVITE", body=OFFER)
    dialog = Dialog.of(invite, local_tag=tag, contact="<sip:srs@h>", peer=UDP)
    dialog.timer = timer
    return dialog


class TestFinding:
    def test_a_request_is_in_the_dialog_of_both_tags(self) -> None:
        dialogs, caller = Dialogs(), Caller()
        dialog = dialog_of(caller)
        dialogs.add(dialog)

        assert dialog is dialogs.find(caller.request("BYE", to_tag="ours"), UDP)
        assert dialog is dialogs.find(caller.request("BYE", to_tag="ours"), STRANGER)
        assert dialog is dialogs.get(dialog.id)

    @pytest.mark.parametrize(
        "caller",
        [
            Caller(to_tag="guess"),
            Caller(to_tag="ours", from_tag="other"),
            Caller(to_tag="ours", call_id="other"),
            Caller(to_tag="OURS"),
            Caller(from_tag="other"),
        ],
    )
    def test_a_name_that_is_wrong_anywhere_finds_nothing(self, caller: Caller) -> None:
        dialogs = Dialogs()
        dialogs.add(dialog_of(Caller()))

        assert dialogs.find(caller.request("BYE"), UDP) is None

    @pytest.mark.parametrize("method", ["BYE", "INVITE"])
    def test_a_forgotten_to_tag_is_made_up_for(self, method: str) -> None:
        dialogs, caller = Dialogs(), Caller()
        dialog = dialog_of(caller)
        dialogs.add(dialog)
        untagged = caller.request(method, to_tag="")

        assert dialog is dialogs.find(untagged, UDP)
        assert dialog is dialogs.find(untagged, replace(UDP, port=999))

    def test_but_not_from_another_address(self) -> None:
        dialogs, caller = Dialogs(), Caller()
        dialogs.add(dialog_of(caller))

        assert dialogs.find(caller.request("BYE", to_tag=""), STRANGER) is None

    def test_nor_between_two_dialogs_until_one_is_over(self) -> None:
        dialogs, caller = Dialogs(), Caller()
        one, other = dialog_of(caller, "one"), dialog_of(caller, "other")
        dialogs.add(one)
        dialogs.add(other)
        bye = caller.request("BYE", to_tag="")

        assert dialogs.find(bye, UDP) is None
        assert dialogs.remove(one)
        assert other is dialogs.find(bye, UDP)

    def test_one_that_is_over_is_found_no_more(self) -> None:
        dialogs, caller = Dialogs(), Caller()
        dialog = dialog_of(caller, timer=THEIRS)
        dialogs.add(dialog)

        assert dialogs.remove(dialog)
        assert not dialogs.remove(dialog)
        assert dialogs.find(caller.request("BYE", to_tag="ours"), UDP) is None
        assert dialogs.find(caller.request("BYE", to_tag=""), UDP) is None
        assert (0, [], None) == (len(dialogs), list(dialogs), dialogs.next_due_s)

    def test_no_two_have_one_name(self) -> None:
        dialogs = Dialogs()
        dialogs.add(dialog_of(Caller()))

        with pytest.raises(ValueError):
            dialogs.add(dialog_of(Caller()))


class TestTimers:
    def test_a_peer_that_never_refreshes_is_over_once(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=THEIRS)
        dialogs.add(dialog)

        assert ((), 100.0) == dialogs.due(99.9)
        assert (((dialog, Due.EXPIRED),), None) == dialogs.due(100.0)
        assert ((), None) == dialogs.due(1000.0)

    def test_a_refresh_of_the_peer_puts_it_off(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=THEIRS)
        dialogs.add(dialog)
        dialog.refreshed_s = 60.0
        dialogs.changed(dialog)

        assert ((), 160.0) == dialogs.due(159.0)

    def test_we_are_asked_to_refresh_once_and_then_it_is_over(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=OURS)
        dialogs.add(dialog)

        assert (((dialog, Due.REFRESH),), 100.0) == dialogs.due(50.0)
        assert ((), 100.0) == dialogs.due(99.0)
        assert (((dialog, Due.EXPIRED),), None) == dialogs.due(100.0)

    def test_a_refresh_that_failed_is_asked_for_again(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=OURS)
        dialogs.add(dialog)
        dialogs.due(50.0)
        dialogs.retry(dialog, 60.0)

        assert (((dialog, Due.REFRESH),), 100.0) == dialogs.due(60.0)
        dialogs.retry(dialog, 500.0)
        assert (((dialog, Due.EXPIRED),), None) == dialogs.due(100.0)

    def test_a_timer_that_was_given_up_asks_for_nothing(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=OURS)
        dialogs.add(dialog)
        dialog.timer = None

        assert ((), None) == dialogs.due(50.0)
        dialogs.changed(dialog)
        dialogs.retry(dialog, 60.0)
        assert ((), None) == dialogs.due(1000.0)

    def test_a_resumed_dialog_has_all_of_its_interval_again(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=THEIRS)
        dialogs.resume(Dialog.resumed(dialog.state()), 5000.0)

        assert 5100.0 == dialogs.next_due_s

    def test_one_that_is_unknown_is_not_timed(self) -> None:
        dialogs, dialog = Dialogs(), dialog_of(Caller(), timer=THEIRS)
        dialogs.changed(dialog)
        dialogs.retry(dialog, 5.0)

        assert dialogs.next_due_s is None
