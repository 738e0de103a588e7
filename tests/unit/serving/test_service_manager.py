"""What a service manager says is heard once."""

import os

import pytest

from vault.serving.service_manager import (
    _FROM_SERVICE_MANAGER,
    ServiceManager,
    service_manager,
)


@pytest.fixture(autouse=True)
def _nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _FROM_SERVICE_MANAGER:
        monkeypatch.delenv(name, raising=False)


def test_without_one_there_is_nothing() -> None:
    assert ServiceManager() == service_manager()


def test_what_it_says_is_heard_once_and_hidden_from_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = str(os.getpid())
    for name, value in {
        "NOTIFY_SOCKET": "@systemd",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": own,
        "FDSTORE": "512",
        "LISTEN_PID": own,
        "LISTEN_FDS": "3",
        "LISTEN_FDNAMES": "one:one:other",
    }.items():
        monkeypatch.setenv(name, value)

    heard, again = service_manager(), service_manager()

    expected = ServiceManager(
        notify="@systemd",
        keeps=512,
        watchdog_s=30.0,
        descriptors=(3, 4, 5),
        names=("one", "one", "other"),
    )
    assert (expected, ServiceManager()) == (heard, again)


@pytest.mark.parametrize("pid", ["", "1", "x"])
def test_what_is_meant_for_another_process_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setenv("LISTEN_PID", pid)
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "5000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")

    heard = service_manager()

    assert ((), None) == (heard.descriptors, heard.watchdog_s)


@pytest.mark.parametrize("count", ["-1", "x", "", "99999999999999999999", "1e3"])
def test_nonsense_is_nothing(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("NOTIFY_SOCKET", "relative/path")

    assert ServiceManager() == service_manager()


def test_names_that_do_not_fit_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "one")

    assert ("unknown", "unknown") == service_manager().names
