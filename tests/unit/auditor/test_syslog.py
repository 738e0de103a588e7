"""Syslog messages are what RFC 5424 and RFC 5425 say, whatever an entry holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.syslog_receiver import messages_in
from tests.simulators.trail import ORIGIN, entry
from vault.audit.entry import Action, Entry
from vault.audit.formats.registry import FORMATS
from vault.audit.source import LoggedEntry
from vault.auditor.syslog import (
    ALARM_MISSING,
    SyslogConfig,
    alarm_frame,
    checkpoint_frame,
    entry_frame,
    param_value,
    timestamp,
)

CONFIG = SyslogConfig(format=FORMATS["json"], hostname="vault-1")
_VALUE = rb'(?:[^"\\\]]|\\["\\\]])*'
# RFC 5424, section 6, spelled anew.
MESSAGE = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) "
    rb"(?P<host>[!-~]{1,255}) callvault - (?P<msgid>[!-~]{1,32}) "
    rb'\[callvault@(?P<pen>\d+)(?P<params>(?: [a-z]{1,32}="' + _VALUE + rb'")*)\]'
    rb"(?: (?P<msg>.*))?",
    re.DOTALL,
)
PARAM = re.compile(rb' ([a-z]+)="(' + _VALUE + rb')"')


def read(frame: bytes) -> tuple[re.Match[bytes], dict[str, str]]:
    (message,) = messages_in(frame)
    found = MESSAGE.fullmatch(message)
    assert found
    params = {
        name.decode(): re.sub(rb"\\(.)", rb"\1", value).decode()
        for name, value in PARAM.findall(found["params"])
    }
    return found, params


def frame_of(**members: object) -> bytes:
    parsed = Entry.parse(entry(7))
    changed = Entry(members=parsed.members | members)  # type: ignore[operator] # JSON
    return entry_frame(
        LoggedEntry(index=7, entry=changed),
        origin=ORIGIN,
        checkpoint=1200,
        config=CONFIG,
    )


def test_an_entry_is_one_frame_with_index_id_origin_and_checkpoint() -> None:
    found, params = read(frame_of(id="an-id"))

    assert {
        "index": "7",
        "id": "an-id",
        "origin": ORIGIN,
        "checkpoint": "1200",
    } == params
    assert (b"2026-11-23T06:16:16.123456Z", b"recording.played") == (
        found["time"],
        found["msgid"],
    )


@pytest.mark.parametrize(
    ("result", "pri"), [("ok", b"110"), ("refused", b"108"), ("failed", b"107")]
)
def test_the_result_is_the_severity(result: str, pri: bytes) -> None:
    found, _ = read(frame_of(result=result))

    assert pri == found["pri"]


def test_a_byte_order_mark_stands_where_the_text_is_not_ascii_and_only_there() -> None:
    plain, _ = read(frame_of())
    accented, _ = read(frame_of(reason="é"))

    assert not plain["msg"].startswith(b"\xef\xbb\xbf")
    assert accented["msg"].startswith(b"\xef\xbb\xbf{")


def test_every_action_fits_into_a_msgid() -> None:
    assert [] == [action for action in Action if len(action) > 32]


@given(
    id=st.text(max_size=60),
    action=st.text(max_size=60),
    time=st.text(max_size=40),
    reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
def test_nothing_in_an_entry_breaks_out_of_its_place(
    id: str, action: str, time: str, reason: str
) -> None:
    frame = frame_of(id=id, action=action, time=time, reason=reason)

    _, params = read(frame)

    assert ["index", "id", "origin", "checkpoint"] == list(params)


def test_quotes_backslashes_and_brackets_are_escaped_and_controls_are_blanks() -> None:
    assert r"a\"b\\c\]d e" == param_value('a"b\\c]d\ne')


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-23T06:16:09.123456789Z", "2026-11-23T06:16:09.123456Z"),
        ("2026-11-23T06:16:09Z", "2026-11-23T06:16:09Z"),
        ("yesterday", "-"),
    ],
)
def test_a_timestamp_has_microseconds_at_most(time: str, shown: str) -> None:
    assert shown == timestamp(time)


def test_alarms_are_critical_and_checkpoints_are_sent_as_they_were_signed() -> None:
    time = "2026-11-23T06:16:09Z"
    alarm, params = read(
        alarm_frame(ALARM_MISSING, 3, 9, time=time, origin=ORIGIN, config=CONFIG)
    )
    note, _ = read(
        checkpoint_frame("a\nb\n", size=9, time=time, origin=ORIGIN, config=CONFIG)
    )

    assert (b"106", "3", "9") == (alarm["pri"], params["index"], params["last"])
    assert rb'"note":"a\nb\n"' in note["msg"]


def test_a_host_without_a_printable_name_is_nil() -> None:
    assert SyslogConfig(format=FORMATS["json"], hostname="ä ").hostname == "-"
