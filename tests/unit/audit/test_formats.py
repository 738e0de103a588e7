"""Each format is read back by a reader that shares no code with it."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.audit import tree
from vault.audit.entry import Action, Entry
from vault.audit.formats.csv_rows import COLUMNS
from vault.audit.formats.line import Severity, epoch_ms, severity_of
from vault.audit.formats.ocsf import OCSF_VERSION
from vault.audit.formats.registry import FORMATS
from vault.audit.source import LoggedEntry
from vault.audit.statement import last_record

ORIGIN = "vault.example/audit"
TIME = "2026-11-23T06:16:09.123456789Z"
NOTE = "vault.example/audit\n7\nYxMy1xOKf2pTyGF5d63cTtm8RBnCZVZNl7w3TjH9VnM=\n\n— k AAAAAAAA\n"
SCHEMA = json.loads(
    (Path(__file__).parents[2] / "vectors" / "audit" / "ocsf_1_5_0.json").read_text()
)

# Whatever a reader splits at, begins a formula with, or has an escape for.
NASTY = st.text(
    st.one_of(
        st.sampled_from("|\\=\t\r\n\"',;+-@^ \u2028\u0085\x00"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=20,
)
VISIBLE = st.text(
    st.one_of(
        st.sampled_from("|\\=\t\r\n\"',+-@^ nrt"),
        st.characters(min_codepoint=0xA1, max_codepoint=0x2000),
        st.characters(min_codepoint=0x21, max_codepoint=0x7E),
    ),
    max_size=20,
)


def logged(**members: Any) -> LoggedEntry:
    common = {
        "action": "recording.played",
        "actor": "user:u1",
        "id": "e-1",
        "result": "ok",
        "time": TIME,
        "v": 1,
        "via": "web",
    }
    return LoggedEntry(index=7, entry=Entry(members=common | members))


def line(name: str, entry: LoggedEntry) -> str:
    return FORMATS[name].line(entry, origin=ORIGIN)


def unescaped(text: str, escapes: dict[str, str]) -> str:
    return re.sub(r"\\(.)", lambda found: escapes[found[1]], text, flags=re.DOTALL)


def read_cef(text: str) -> tuple[list[str], dict[str, str]]:
    """Read CEF as its standard says: seven fields, then pairs."""
    assert "\n" not in text
    assert "\r" not in text
    bars = [found.start() for found in re.finditer(r"\|", _masked(text))][:7]
    head = [text[a + 1 : b] for a, b in zip([-1, *bars], bars, strict=False)]
    extension = text[bars[-1] + 1 :]
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", _masked(extension)))
    ends = [key.start() for key in keys[1:]] + [len(extension)]
    pairs = {
        key[1]: unescaped(
            extension[key.end() : end], {"\\": "\\", "=": "=", "n": "\n", "r": "\r"}
        )
        for key, end in zip(keys, ends, strict=True)
    }
    return [unescaped(one, {"\\": "\\", "|": "|"}) for one in head], pairs


def _masked(extension: str) -> str:
    """Return it with every escaped character as ``__``, so that bare ``=`` are left."""
    return re.sub(r"\\.", "__", extension, flags=re.DOTALL)


def read_leef(text: str) -> tuple[list[str], dict[str, str]]:
    """Read LEEF 2.0: six fields with the delimiter last, then pairs."""
    *head, delimiter, attributes = text.split("|", 6)
    pairs = (
        one.partition("=") for one in attributes.split(chr(int(delimiter[1:], 16)))
    )
    escapes = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
    return head, {key: unescaped(value, escapes) for key, _, value in pairs}


class TestCsv:
    @given(cells=st.lists(NASTY, min_size=8, max_size=8))
    @settings(max_examples=150, deadline=None)
    def test_every_cell_comes_back(self, cells: list[str]) -> None:
        names = ("actor", "via", "recording", "right", "reason", "session", "origin")
        entry = logged(**dict(zip(names, cells, strict=False)))
        document = f"{FORMATS['csv'].header()}\r\n{line('csv', entry)}\r\n"
        rows = list(csv.reader(io.StringIO(document, newline="")))
        found = dict(zip(COLUMNS, rows[1], strict=True))

        assert 2 == len(rows)
        assert dict(zip(names, cells, strict=False)) == {
            name: found[name].removeprefix("'") for name in names
        }

    @given(text=NASTY)
    @settings(max_examples=150, deadline=None)
    def test_no_cell_is_a_formula(self, text: str) -> None:
        row = next(
            csv.reader(io.StringIO(line("csv", logged(reason=text)), newline=""))
        )

        assert not any(one.startswith(("=", "+", "-", "@", "\t", "\r")) for one in row)

    def test_the_leaf_ties_a_row_to_the_tree(self) -> None:
        entry = logged()
        row = next(csv.reader([line("csv", entry)]))

        assert tree.leaf_hash(bytes(entry.entry)).hex() == row[-1]


class TestCef:
    @given(actor=VISIBLE.filter(bool), reason=VISIBLE.filter(bool))
    @settings(max_examples=150, deadline=None)
    def test_every_value_comes_back(self, actor: str, reason: str) -> None:
        _, pairs = read_cef(line("cef", logged(actor=actor, reason=reason)))
        # A tab becomes a blank: CEF has no escape for it.
        expected = (actor.replace("\t", " "), reason.replace("\t", " "))

        assert expected == (pairs["suid"], pairs["reason"])

    @given(action=VISIBLE)
    @settings(max_examples=150, deadline=None)
    def test_the_header_has_seven_fields_whatever_the_action(self, action: str) -> None:
        head, pairs = read_cef(line("cef", logged(action=action)))
        shown = action.replace("\n", " ").replace("\r", " ").replace("\t", " ")

        assert (7, "CEF:0", shown) == (len(head), head[0], head[4])
        assert "1795414569123" == pairs["rt"]

    @pytest.mark.parametrize(
        ("origin", "key"),
        [("192.0.2.7", "src"), ("2001:db8::7", "c6a2"), ("socket", "shost")],
    )
    def test_addresses_go_where_they_belong(self, origin: str, key: str) -> None:
        assert origin == read_cef(line("cef", logged(origin=origin)))[1][key]


class TestLeef:
    @given(actor=VISIBLE.filter(bool), reason=VISIBLE.filter(bool))
    @settings(max_examples=150, deadline=None)
    def test_every_value_comes_back(self, actor: str, reason: str) -> None:
        _, pairs = read_leef(line("leef", logged(actor=actor, reason=reason)))

        assert (actor, reason) == (pairs["usrName"], pairs["reason"])

    @given(action=NASTY)
    @settings(max_examples=150, deadline=None)
    def test_the_header_has_its_fields_whatever_the_action(self, action: str) -> None:
        text = line("leef", logged(action=action))
        head, pairs = read_leef(text)

        assert ["LEEF:2.0", "Callvault", "Callvault"] == head[:3]
        assert 5 == len(head)
        assert "1795414569123" == pairs["devTime"]
        assert 1 == len(text.splitlines())


class TestJson:
    @given(reason=NASTY)
    @settings(max_examples=60, deadline=None)
    def test_the_entry_is_the_one_that_was_hashed(self, reason: str) -> None:
        entry = logged(reason=reason)
        text = line("json", entry)
        expected = {"entry": entry.entry.members, "index": 7, "trail": ORIGIN}

        assert expected == json.loads(text)
        assert bytes(entry.entry).decode() in text


DETAILS: tuple[dict[str, Any], ...] = (
    {},
    {"user": "u2", "holder": "user:u3", "permission": "recording:media:play"},
    {"holder": "role:officer", "given": "r1", "device": "d1", "process": "web"},
)


class TestOcsf:
    @pytest.mark.parametrize("action", Action, ids=str)
    def test_every_action_is_an_event_of_the_schema(self, action: Action) -> None:
        for detail in DETAILS:
            for result in ("ok", "refused", "failed"):
                entry = logged(
                    action=str(action),
                    detail=detail,
                    result=result,
                    reason="why",
                    origin="2001:db8::7",
                    session="s1",
                )

                assert [] == faults(json.loads(line("ocsf", entry)))

    @given(text=NASTY)
    @settings(max_examples=100, deadline=None)
    def test_what_nobody_thought_of_is_one_too(self, text: str) -> None:
        members = dict.fromkeys(("action", "actor", "via", "origin", "result"), text)

        assert [] == faults(json.loads(line("ocsf", logged(**members))))

    def test_a_last_record_is_one_too(self) -> None:
        record = last_record({}, 3, NOTE, None, made=TIME)

        assert [] == faults(json.loads(line("ocsf", record)))

    def test_the_schema_is_the_pinned_one(self) -> None:
        assert OCSF_VERSION == SCHEMA["version"]

    @pytest.mark.parametrize(
        ("action", "type_uid"),
        [
            ("access.session.opened", 300201),
            ("access.session.ended", 300202),
            ("access.user.disabled", 300105),
            ("access.factor.added", 300110),
            ("access.right.given", 300501),
            ("access.device.revoked", 300404),
            ("process.started", 600203),
            ("access.refused", 600399),
            ("recording.played", 600501),
            ("recording.listed", 600508),
            ("audit.trail.exported", 600501),
        ],
    )
    def test_actions_are_of_the_type_that_they_mean(
        self, action: str, type_uid: int
    ) -> None:
        entry = logged(action=action, detail={"holder": "user:u3"})

        assert type_uid == json.loads(line("ocsf", entry))["type_uid"]


class TestSeverity:
    @pytest.mark.parametrize(
        ("action", "result", "severity"),
        [
            ("recording.played", "ok", Severity.INFORMATIONAL),
            ("recording.exported", "ok", Severity.LOW),
            ("recording.played", "refused", Severity.MEDIUM),
            ("access.emergency.opened", "ok", Severity.MEDIUM),
            ("recording.rendered", "failed", Severity.HIGH),
            ("recording.damaged", "ok", Severity.CRITICAL),
        ],
    )
    def test_what_deserves_a_look_says_so(
        self, action: str, result: str, severity: Severity
    ) -> None:
        assert severity == severity_of(action, result)


class TestTimes:
    @pytest.mark.parametrize(
        ("time", "ms"),
        [
            (TIME, 1_795_414_569_123),
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-23T06:16:09.1Z", 1_795_414_569_100),
            ("2026-13-23T06:16:09Z", 0),
            ("yesterday", 0),
            ("٢026-11-23T06:16:09Z", 0),
        ],
    )
    def test_a_time_is_milliseconds_or_nothing(self, time: str, ms: int) -> None:
        assert ms == epoch_ms(time)


def test_a_last_record_is_no_entry_of_the_log() -> None:
    record = last_record({"actor": ["user:u1"]}, 3, NOTE, None, made=TIME)
    row = next(csv.reader([line("csv", record)]))

    assert ("7", "audit.export.statement", "") == (row[0], row[2], row[-1])
    with pytest.raises(ValueError, match="is not a valid"):
        Action(record.entry.members["action"])


def faults(event: dict[str, Any]) -> list[str]:
    """Return what an event lacks or has too much by the published schema."""
    schema = SCHEMA["classes"][str(event["class_uid"])]
    found = _faults(event, schema, "")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid")
    if event["metadata"]["version"] != SCHEMA["version"]:
        found.append("version")
    return found


def _faults(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    attributes = schema["attributes"]
    found = [f"{where}{name} is unknown" for name in value if name not in attributes]
    found += [
        f"{where}{name} is required"
        for name, one in attributes.items()
        if one["requirement"] == "required" and name not in value
    ]
    wanted = schema.get("constraints", {}).get("at_least_one", [])
    if wanted and not any(name in value for name in wanted):
        found.append(f"{where} has none of {wanted}")
    for name, inner in value.items():
        one = attributes.get(name)
        if one is None:
            continue
        for member in inner if one.get("is_array") else [inner]:
            found += _of_type(member, one, f"{where}{name}.")
    return found


def _of_type(value: Any, attribute: dict[str, Any], where: str) -> list[str]:
    if attribute["object"]:
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        schema = SCHEMA["objects"].get(attribute["type"])
        return [] if schema is None else _faults(value, schema, where)
    kinds = {"integer_t": int, "long_t": int, "timestamp_t": int, "boolean_t": bool}
    if not isinstance(value, kinds.get(attribute["type"], str)):
        return [f"{where} is no {attribute['type']}"]
    allowed = attribute.get("enum")
    return [] if allowed is None or value in allowed else [f"{where} {value} is none"]
