"""Edits that nobody thought of: both verifiers refuse, and name the same entry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulators.trail import Trail, asking
from tests.simulators.verifiers import VERIFIED, Script, callvault
from vault.audit.query import TrailQuery
from vault.database.engine import open_engine

script = Script()


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    folder: Path = tmp_path_factory.mktemp("trail")
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    trail = Trail(engine=engine, folder=folder)
    trail.grow(4)
    trail.grow(8, batch=4)
    yield trail
    trail.log.close()
    engine.dispose()


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "move", "drop line", "double line"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=3,
)


def edited(octets: bytes, edits: list[tuple[str, float, float, bytes]]) -> bytes:
    for kind, where, whereto, fresh in edits:
        at, to = int(where * len(octets)), int(whereto * len(octets))
        lines = octets.splitlines(keepends=True)
        line = int(where * len(lines))
        if kind == "set":
            octets = octets[:at] + fresh + octets[at + len(fresh) :]
        elif kind == "cut":
            octets = octets[: min(at, to)] + octets[max(at, to) :]
        elif kind == "insert":
            octets = octets[:at] + fresh + octets[at:]
        elif kind == "move" and lines:
            moved = lines.pop(line)
            lines.insert(int(whereto * len(lines)), moved)
            octets = b"".join(lines)
        elif kind == "drop line":
            octets = b"".join(lines[:line] + lines[line + 1 :])
        elif lines:
            octets = b"".join(lines[: line + 1] + lines[line:])
    return octets


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edits=EDITS, selected=st.booleans())
def test_no_edit_is_verified_and_both_verifiers_name_the_same_entry(
    trail: Trail, edits: list[tuple[str, float, float, bytes]], selected: bool
) -> None:
    query = asking(actor="user:u1") if selected else TrailQuery()
    export = trail.export(query=query)
    changed = edited(export, edits)
    ours = callvault(changed, trail.vkey)

    assert ours == script(changed, trail.vkey)
    assert (changed == export) == (ours == VERIFIED)
