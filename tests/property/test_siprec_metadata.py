"""Whatever a recording client writes, a recording goes on."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from vault.core.flow import CallFacts
from vault.sip.messages import Headers, Request
from vault.siprec.metadata import read_or_flag
from vault.siprec.model import RecordingMetadata
from vault.siprec.parties import changes, facts_of, learned
from vault.siprec.ucid import as_decimal, in_user_to_user
from vault.siprec.updates import merged

NOW_NS = 1_700_000_000_000_000_000

_NAMES = st.sampled_from(
    (
        "recording",
        "datamode",
        "group",
        "session",
        "participant",
        "nameID",
        "aor",
        "name",
        "send",
        "recv",
        "stream",
        "label",
        "participantsessionassoc",
        "participantstreamassoc",
        "associate-time",
        "disassociate-time",
        "extensiondata",
        "callingParty",
        "ucid",
        "direction",
    )
)
_VALUES = st.sampled_from(
    (
        "",
        "a",
        "b",
        "partial",
        "sip:1@x",
        "true",
        "00FA080019001038F725B3",
        "2024-05-13T03:29:05Z",
        "0001-01-01T00:00:00+23:59",
    )
) | st.text(string.printable, max_size=12)


def _escaped(text: str) -> str:
    return "".join(f"&#{ord(each)};" if each in "<>&\"'" else each for each in text)


@st.composite
def _elements(draw: st.DrawFn, depth: int = 2) -> str:
    name = draw(_NAMES)
    key = draw(st.sampled_from(("id", "participant_id", "stream_id", "aor")))
    inside = (
        "".join(draw(st.lists(_elements(depth=depth - 1), max_size=3))) if depth else ""
    )
    text, value = (_escaped(draw(_VALUES)) for _ in range(2))
    return f'<{name} {key}="{value}">{text}{inside}</{name}>'


_DOCUMENTS = st.lists(_elements(), max_size=6).map(
    lambda inside: f"<recording>{''.join(inside)}</recording>".encode()
)
_HEADER = st.tuples(
    st.sampled_from(
        (
            "From",
            "To",
            "User-to-User",
            "Cisco-Guid",
            "Session-ID",
            "P-Charging-Vector",
            "X-Cisco-Recording-Participant",
            "X-Own",
        )
    ),
    st.sampled_from(
        (
            "<sip:2000@ucm;x-nearend;x-nearendaddr=1;x-farendaddr=2>",
            'sip:1@x;media-index="1"',
            "1-2-3-4",
        )
    )
    | st.text(max_size=30).map(lambda text: text.replace("\r", "").replace("\n", "")),
)
_REQUESTS = st.lists(_HEADER, max_size=6).map(
    lambda rows: Request(method="INVITE", uri="sip:srs@x", headers=Headers(rows))
)
_LABELS = st.lists(st.sampled_from(("1", "2", "x")), max_size=4).map(tuple)


def _sound(facts: CallFacts, labels: tuple[str, ...]) -> None:
    ids = [each.id for each in facts.participants]
    every = [facts.pbx_id, facts.caller, facts.callee, *facts.attributes.values()]
    every += [text for each in facts.participants for text in (each.aor, each.name)]

    assert len(ids) == len(set(ids))
    "".join(every).encode()
    for each in facts.participants:
        assert len(each.streams) == len(set(each.streams))
        assert not labels or len(each.streams) <= len(labels)


class TestAnything:
    @given(octets=st.binary(max_size=400))
    def test_octets_are_metadata_or_flagged(self, octets: bytes) -> None:
        found, flaw = read_or_flag(octets)

        assert (found is None) == bool(flaw)

    @settings(max_examples=40)
    @given(
        documents=st.lists(_DOCUMENTS, max_size=3),
        requests=st.lists(_REQUESTS, min_size=3, max_size=3),
        labels=_LABELS,
    )
    def test_a_session_of_any_documents_gives_sound_facts(
        self,
        documents: list[bytes],
        requests: list[Request],
        labels: tuple[str, ...],
    ) -> None:
        known: RecordingMetadata | None = None
        before: CallFacts | None = None
        for request, octets in zip(requests, documents, strict=False):
            found, flaw = read_or_flag(octets)
            known = merged(known, found, now_ns=NOW_NS) if found else known
            now = facts_of(request, known, labels=labels, flaw=flaw)
            after = learned(before, now, now_ns=NOW_NS)

            _sound(after, labels)
            assert changes(after, after) is None
            before = after

    @settings(max_examples=40)
    @given(document=_DOCUMENTS)
    def test_the_same_document_twice_leaves_who_is_there(self, document: bytes) -> None:
        found, _ = read_or_flag(document)
        if found is None:
            return
        once = merged(None, found, now_ns=NOW_NS)

        twice = merged(once, found, now_ns=NOW_NS + 1)

        assert [each.id for each in once.parties] == [each.id for each in twice.parties]

    @given(text=st.text(max_size=300) | st.binary(max_size=40).map(bytes.hex))
    def test_an_identifier_has_twenty_digits_or_is_none(self, text: str) -> None:
        found = as_decimal(text)

        assert (len(found) in {0, 20}, True) == (True, in_user_to_user(text) in text)
