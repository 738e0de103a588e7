"""The page on ASVS 5.0 level 3 says what is there: every id, verdict, test and sum."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security/asvs.md").read_text()
IDS = [
    line.split("\t")
    for line in (ROOT / "tests/vectors/asvs_5_0_l3_ids.tsv")
    .read_text()
    .splitlines()[1:]
]
ROW = re.compile(r"^\| (V[\d.]+) \| (\d) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
VERDICTS = ("tested", "documented", "deployment", "not met", "n/a")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\(([^)#]*)(#[^)]+)?\)")


def test_the_list_is_that_of_the_standard() -> None:
    levels = Counter(level for _, level, _ in IDS)

    assert {"1": 70, "2": 183, "3": 92} == levels
    assert {"Y", "N", "deploy", "if-DTLS"} == {applies for _, _, applies in IDS}


def test_every_requirement_has_one_row_in_the_order_of_the_standard() -> None:
    assert [(id, level) for id, level, _ in IDS] == [row[:2] for row in ROWS]


def test_every_verdict_is_known_and_gives_its_reason() -> None:
    assert set(VERDICTS) == {verdict for _, _, verdict, _ in ROWS}
    assert [] == [id for id, _, _, evidence in ROWS if len(evidence.strip()) < 5]


def test_what_the_list_leaves_out_is_left_out_and_nothing_is_that_was_not_argued() -> (
    None
):
    verdicts = {id: verdict for id, _, verdict, _ in ROWS}
    ours = {id for id, _, applies in IDS if applies != "N" and verdicts[id] == "n/a"}

    assert [] == [
        id for id, _, applies in IDS if applies == "N" and verdicts[id] != "n/a"
    ]
    # No WebSocket, no tokens issued, no OAuth resource server, no files of people.
    assert {
        "V4.4.1", "V4.4.2", "V4.4.3", "V4.4.4", "V9.2.4",
        "V10.3.1", "V10.3.2", "V10.3.3", "V10.3.4", "V14.2.8",
    } == ours  # fmt: skip


def test_what_is_tested_names_tests_that_are_there() -> None:
    missing, without = [], []
    sources: dict[str, str] = {}
    for id, _, verdict, evidence in ROWS:
        found = TEST.findall(evidence)
        if verdict == "tested" and not found:
            without.append(id)
        for file, name in found:
            path = ROOT / file
            if file not in sources:
                sources[file] = path.read_text() if path.is_file() else ""
            if not sources[file] or (name and f"def {name}(" not in sources[file]):
                missing.append((id, file, name))

    assert ([], []) == (missing, without)


def test_what_is_documented_leads_to_a_page() -> None:
    leading = {
        id: [
            (ROOT / "docs/security" / path).is_file()
            for path, _ in LINK.findall(evidence)
        ]
        for id, _, verdict, evidence in ROWS
        if verdict == "documented"
    }

    assert [] == [id for id, pages in leading.items() if not pages or not all(pages)]


def test_the_sums_are_those_of_the_rows() -> None:
    counted = Counter(verdict for _, _, verdict, _ in ROWS)
    said = dict(re.findall(r"^\| ([a-z/ ]+) \| [^|]+ \| (\d+) \|$", PAGE, re.MULTILINE))

    assert {name: str(counted[name]) for name in VERDICTS} == said
    assert f"| | | {len(ROWS)} |" in PAGE


def test_the_sums_of_each_chapter_are_those_of_its_rows() -> None:
    counted: dict[str, Counter[str]] = {}
    for id, _, verdict, _ in ROWS:
        counted.setdefault(id.partition(".")[0], Counter())[verdict] += 1
    said = {
        chapter: sums.split(" | ")
        for chapter, sums in re.findall(
            r"^\| (V\d+) [^|]+ \| ([\d |]+) \|$", PAGE, re.MULTILINE
        )
    }

    assert {
        chapter: [str(sums[verdict]) for verdict in VERDICTS]
        for chapter, sums in counted.items()
    } == said
