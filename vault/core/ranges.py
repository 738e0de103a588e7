"""Spans of octets, and the one form of ``Range`` header that we serve.

Guarantees: a `ByteRange` is never empty and never reversed; a header with
several ranges, signs, blanks or foreign digits selects nothing by surprise.

Spec: RFC 9110, section 14.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from vault.core.errors import RangeNotSatisfiableError

# ASCII digits only, and few of them: int() alone takes "1_0" and "+1".
_ONE_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """A non-empty span of octets, half-open: ``start <= i < stop``."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"not a span: [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    @classmethod
    def parse(cls, header: str | None, *, size: int) -> Self | None:
        """Read a ``Range`` header against *size* octets of media.

        Returns:
            The span, or None where the header is absent or is not a single
            byte range: RFC 9110 lets a server ignore such a header, and the
            whole representation is the honest answer.

        Raises:
            RangeNotSatisfiableError: One well-formed range, none of it in the
                media.

        Spec: RFC 9110, sections 14.1.2 and 14.2.
        """
        match = _ONE_RANGE.fullmatch(header.strip()) if header else None
        if match is None or match.group() == "bytes=-":
            return None
        first, last = match.groups()
        if not first:
            start, stop = max(0, size - int(last)), size
        else:
            # Closed on the wire, half-open inside: this is the only "+ 1".
            start, stop = int(first), min(int(last) + 1, size) if last else size
            if last and int(last) < start:
                return None  # reversed is not a range at all (14.1.1)
        if start >= stop:
            raise RangeNotSatisfiableError("no such octets", size=size)
        return cls(start=start, stop=stop)

    def content_range(self, *, size: int) -> str:
        """Return the value of ``Content-Range`` for this span."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"
