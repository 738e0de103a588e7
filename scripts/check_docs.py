"""Checks that every relative link and image in the Markdown pages leads somewhere."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)
SKIPPED = {".venv", "node_modules", ".git", "var"}


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of *page* make, as web views name them."""
    found = set()
    for line in FENCE.sub("", page.read_text()).splitlines():
        if line.startswith("#"):
            text = re.sub(r"[`*]", "", line.lstrip("#").strip().lower())
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def broken(page: Path) -> list[str]:
    """Return the links of *page* that lead nowhere."""
    bad = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there)
        ):
            bad.append(target)
    return bad


def main() -> int:
    pages = [
        page
        for page in ROOT.rglob("*.md")
        if not SKIPPED.intersection(page.relative_to(ROOT).parts)
    ]
    failures = [(page, link) for page in pages for link in broken(page)]
    for page, link in failures:
        print(f"{page.relative_to(ROOT)}: {link} leads nowhere", file=sys.stderr)
    print(f"{len(pages)} pages, {len(failures)} broken links")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
