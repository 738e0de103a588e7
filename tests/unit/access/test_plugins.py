"""Plug-ins as they are found: distributions with an entry point, good and bad."""

import textwrap
import threading
from pathlib import Path

import pytest

from vault.access.authenticators import Authenticator, Standing, Verified
from vault.access.plugins import is_plugin_name, load_plugin
from vault.core.errors import (
    ConfigurationError,
    NotAuthenticatedError,
    ThrottledError,
    UnavailableError,
)

ORIGIN = "192.0.2.1"
_SECRET = "the password that was typed"

_MODULE = """
import threading
from vault.access.authenticators import Verified
from vault.core.errors import NotAuthenticatedError, ThrottledError

never = threading.Event()

class Made:
    interface_version = 1
    name = "local"  # a lie: it is not believed

    def __init__(self, settings):
        self.does = settings["does"]

    def authenticate(self, name, password, origin):
        {body}

def create(settings):
    return Made(settings)

def none(settings):
    return object()

def fails(settings):
    raise RuntimeError("the password of the service")

class Old(Made):
    interface_version = 0

class Silent:
    interface_version = 1
    def __init__(self, settings): pass
"""

_BODY = """
        match self.does:
            case "know": return Verified(source="local", external_id="1", name=name,
                                         groups=frozenset({"staff"}))
            case "unknown": return None
            case "wrong": raise NotAuthenticatedError(password)
            case "busy": raise ThrottledError(password, retry_after_s=7)
            case "raise": raise KeyError(password)
            case "exit": raise SystemExit(1)
            case "hang": never.wait(5)
            case "true": return True
            case "dict": return {"name": name}
            case "long": return Verified(source="x", external_id="1" * 256, name=name)
            case "no-id": return Verified(source="x", external_id="", name=name)
            case "id": return Verified(source="x", external_id=1, name=name)
            case "groups": return Verified(source="x", external_id="1", name=name,
                                           groups=frozenset(map(str, range(1001))))
            case "group": return Verified(source="x", external_id="1", name=name,
                                          groups=frozenset({None}))
            case "methods": return Verified(source="x", external_id="1", name=name,
                                            methods=("p w d",))
            case "none": return Verified(source="x", external_id="1", name=None)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with entry points, as pip would."""
    info = tmp_path / "pretend_people-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pretend-people\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        textwrap.dedent(
            """
            [callvault.authenticators]
            good = pretend_people:create
            none = pretend_people:none
            fails = pretend_people:fails
            old = pretend_people:Old
            silent = pretend_people:Silent
            gone = pretend_people:nowhere
            nowhere = no_such_module:create
            """
        )
    )
    (tmp_path / "pretend_people.py").write_text(
        _MODULE.replace("        {body}", _BODY)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def plugin(does: str, limit_s: float = 30) -> Authenticator:
    return load_plugin("good", {"does": does}, limit_s=limit_s)


def test_what_a_plug_in_knows_is_its_own_source(installed: Path) -> None:
    found = plugin("know").authenticate("pat", _SECRET, ORIGIN)

    assert (
        Verified(
            source="plugin:good",
            external_id="1",
            name="pat",
            groups=frozenset({"staff"}),
        )
        == found
    )
    assert plugin("unknown").authenticate("pat", _SECRET, ORIGIN) is None
    assert not isinstance(plugin("know"), Standing)


def test_nobody_comes_in_without_a_password(installed: Path) -> None:
    with pytest.raises(NotAuthenticatedError):
        plugin("know").authenticate("pat", "", ORIGIN)


@pytest.mark.parametrize(
    ("does", "error"),
    [
        ("wrong", NotAuthenticatedError),
        ("busy", ThrottledError),
        ("raise", UnavailableError),
        ("exit", UnavailableError),
        ("true", UnavailableError),
        ("dict", UnavailableError),
        ("long", UnavailableError),
        ("no-id", UnavailableError),
        ("id", UnavailableError),
        ("groups", UnavailableError),
        ("group", UnavailableError),
        ("methods", UnavailableError),
        ("none", UnavailableError),
    ],
)
def test_whatever_it_does_wrong_lets_nobody_in_and_says_no_password(
    installed: Path, does: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        plugin(does).authenticate("pat", _SECRET, ORIGIN)

    assert _SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_one_that_hangs_is_one_that_is_down(installed: Path) -> None:
    with pytest.raises(UnavailableError):
        plugin("hang", limit_s=0.05).authenticate("pat", _SECRET, ORIGIN)

    hanging = [one for one in threading.enumerate() if one.name == "plugin:good"]
    assert all(one.daemon for one in hanging)


@pytest.mark.parametrize(
    "name", ["missing", "none", "fails", "old", "silent", "gone", "nowhere"]
)
def test_one_that_cannot_be_used_stops_the_start(installed: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        load_plugin(name, {"does": "know"})

    assert "password of the service" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "A", "a b", "x" * 33, "../x", "a:b", "-a"])
def test_what_no_plug_in_can_be_called(name: str) -> None:
    assert not is_plugin_name(name)
    assert is_plugin_name("radius-2")
