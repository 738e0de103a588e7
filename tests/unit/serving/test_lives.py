import threading
from pathlib import Path

import pytest

from tests.simulators.waiting import wait_until
from vault.audit.entry import Action, Draft, Result, compose
from vault.config import Settings
from vault.core.errors import AuditUnavailableError, InvalidInputError
from vault.core.ids import new_id
from vault.serving.lives import LateLeaves, digest_of, tell_changes, written_down


class Warden:
    """A trail that can be away, or refuse."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.away = threading.Event()
        self.asked = 0
        self.refuses = False

    def append(self, *drafts: Draft) -> None:
        self.asked += 1
        if self.away.is_set():
            raise AuditUnavailableError("away")
        if self.refuses:
            raise InvalidInputError("no")
        for draft in drafts:
            # What the warden would not take must not be told.
            compose(draft, id=new_id(), time="now", via="web", text_hmacs={})
            self.drafts.append(draft)

    def told(self) -> list[tuple[str, str]]:
        return [(str(one.action), str(one.result)) for one in self.drafts]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_start_and_stop_are_written_with_the_digest_of_the_settings(
    settings: Settings,
) -> None:
    warden = Warden()
    with written_down(warden, "web", settings):
        pass

    assert warden.told() == [("process.started", "ok"), ("process.stopped", "ok")]
    assert {str(one.caller.actor) for one in warden.drafts} == {"process:web"}
    assert warden.drafts[0].detail["settings_sha256"] == digest_of(settings)
    assert warden.drafts[0].occurred_ns > 0


def test_a_process_that_breaks_says_so(settings: Settings) -> None:
    warden = Warden()
    with pytest.raises(RuntimeError), written_down(warden, "web", settings):
        raise RuntimeError("a bug")

    assert warden.told()[-1] == ("process.stopped", "failed")


def test_a_warden_that_is_away_stops_nothing_and_is_told_later(
    settings: Settings,
) -> None:
    warden = Warden()
    warden.away.set()
    with written_down(warden, "tap", settings):
        wait_until(lambda: warden.asked > 0, within_s=10)
        warden.away.clear()

    assert [action for action, _ in warden.told()] == [
        "process.started",
        "process.stopped",
    ]


def test_closing_waits_no_longer_than_it_is_told() -> None:
    warden = Warden()
    warden.away.set()
    leaves = LateLeaves(warden)
    leaves.tell(Action.PROCESS_STARTED, "tap")

    leaves.close(within_s=0.01)

    assert warden.drafts == []


def test_what_the_warden_refuses_holds_nothing_up() -> None:
    warden = Warden()
    warden.refuses = True
    leaves = LateLeaves(warden)
    leaves.tell(Action.PROCESS_STARTED, "tap")
    wait_until(lambda: warden.asked > 0, within_s=10)
    warden.refuses = False
    leaves.tell(Action.PROCESS_STOPPED, "tap", result=Result.FAILED)

    leaves.close(within_s=10)

    assert ("process.stopped", "failed") in warden.told()


class TestSettings:
    def told(self, settings: Settings, path: Path) -> list[Draft]:
        warden = Warden()
        leaves = LateLeaves(warden)
        tell_changes(leaves, settings, path)
        leaves.close(within_s=10)
        return warden.drafts

    def test_the_first_start_has_nothing_to_compare(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        assert self.told(settings, tmp_path / "seen") == []

    def test_the_same_settings_are_no_change(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        for _ in range(2):
            drafts = self.told(settings, tmp_path / "seen")

        assert drafts == []

    def test_a_change_is_written_once_by_name(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        self.told(settings, tmp_path / "seen")
        changed = Settings(data_dir=tmp_path, sweep_ms=100, drain_s=7)

        (draft,) = self.told(changed, tmp_path / "seen")

        assert draft.action is Action.PROCESS_RECONFIGURED
        assert draft.detail["fields"] == "drain-s/sweep-ms"
        assert draft.detail["count"] == 2
        assert self.told(changed, tmp_path / "seen") == []

    def test_no_value_is_kept_or_written(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        self.told(settings, tmp_path / "seen")
        changed = Settings(data_dir=tmp_path, oidc_client_id="canary-4711")

        (draft,) = self.told(changed, tmp_path / "seen")

        assert "canary" not in repr(draft)
        assert "canary" not in (tmp_path / "seen").read_text()

    def test_more_names_than_fit_are_counted(self, tmp_path: Path) -> None:
        path = tmp_path / "seen"
        path.write_text('{"gone": "1"}')

        (draft,) = self.told(Settings(data_dir=tmp_path), path)

        assert int(draft.detail["count"]) > 60
        assert len(str(draft.detail["fields"])) <= 200
