"""Checks what the Markdown pages point at: links, images, anchors, tests, modules.

A relative link or image leads somewhere; a test named as ``tests/…/test_x.py::test_y``
is there; a file of the tree named in code (``vault/…``, ``infra/…``, ``scripts/…``,
``docs/…``) exists.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(?:\w+::)?(\w+))?")
FILE = re.compile(
    r"(?:vault|infra|scripts|docs)/[\w./-]+\.(?:py|md|yaml|sql|sh|service)"
)
SKIPPED = {".venv", "node_modules", ".git", "var"}


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of *page* make, as web views name them."""
    found = set()
    for line in FENCE.sub("", page.read_text()).splitlines():
        if line.startswith("#"):
            text = re.sub(r"[`*]", "", line.lstrip("#").strip().lower())
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def broken_links(page: Path, text: str) -> list[str]:
    """Return the links of *page* that lead nowhere."""
    bad = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there)
        ):
            bad.append(target)
    return bad


def missing_names(text: str) -> list[str]:
    """Return the tests and files that are named in code and are not there."""
    bad = []
    for code in CODE.findall(text):
        if test := TEST.fullmatch(code):
            file, name = ROOT / test[1], test[2]
            there = file.is_file() and (
                name is None or re.search(rf"def {name}\b", file.read_text())
            )
        elif FILE.fullmatch(code):
            there = (ROOT / code).is_file()
        else:
            continue
        if not there:
            bad.append(code)
    return bad


def main() -> int:
    pages = [
        page
        for page in ROOT.rglob("*.md")
        if not SKIPPED.intersection(page.relative_to(ROOT).parts)
    ]
    failures = []
    for page in pages:
        text = FENCE.sub("", page.read_text())
        failures += [(page, link) for link in broken_links(page, text)]
        failures += [(page, name) for name in missing_names(text)]
    for page, what in failures:
        print(f"{page.relative_to(ROOT)}: {what} leads nowhere", file=sys.stderr)
    print(f"{len(pages)} pages, {len(failures)} broken references")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
