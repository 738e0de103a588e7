"""README.md leads everybody to what they have to do."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_how_to_is_named() -> None:
    named = set(
        re.findall(r"\(docs/howto/([a-z0-9-]+\.md)\)", (ROOT / "README.md").read_text())
    )
    there = {one.name for one in (ROOT / "docs" / "howto").glob("*.md")}

    assert there == named
