"""XML from strangers, read into a small tree or refused.

Guarantees:
    * A document type declaration is refused before anything after it is looked at:
      no entity is expanded and nothing is fetched.
    * Octets, depth, elements and attributes are counted while they are read; reading
      ends at the first that is too many.
    * An encoding is one of a few that mean the same to everybody.  UTF-16, UTF-7
      and EBCDIC are refused: no PBX writes them, and they hide things from filters.
    * Nothing but `MalformedSignallingError` leaves here.

Left to others: what the elements mean (`vault.siprec.metadata`).

Spec: XML 1.0; RFC 7865, section 7
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from vault.core.errors import MalformedSignallingError

MAX_OCTETS: Final = 256 * 1024
MAX_DEPTH: Final = 32
_MAX_ELEMENTS: Final = 4096
_MAX_ATTRIBUTES: Final = 32
_PIECE: Final = 4096
"Characters per call of the parser: how much is read on after a cap was met."
_DECLARED: Final = re.compile(
    rb"""<\?xml[^>?]{0,64}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,32})["']"""
)
_ENCODINGS: Final = {
    b"utf-8": "utf-8",
    b"utf8": "utf-8",
    b"us-ascii": "utf-8",
    b"ascii": "utf-8",
    b"iso-8859-1": "latin-1",
    b"latin1": "latin-1",
    b"windows-1252": "cp1252",
}


@dataclass(slots=True, kw_only=True)
class Node:
    """An element: its local name in lower case, and what is in it."""

    name: str
    namespace: str
    attributes: Mapping[str, str]
    "By local name in lower case."
    children: "list[Node]" = field(default_factory=list)
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """Its own text, without that of its children and without outer spaces."""
        return " ".join("".join(self.pieces).split())

    def all(self, name: str) -> "Iterator[Node]":
        """Yield its children called *name*."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> "Node | None":
        """Return the first child called *name*."""
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        """Say whether there is a child called *name*."""
        return self.first(name) is not None

    def attribute(self, *names: str) -> str:
        """Return the first of *names* that is there and not empty."""
        found = (self.attributes.get(name, "").strip() for name in names)
        return next((value for value in found if value), "")


def read_elements(octets: bytes) -> tuple[Node, tuple[str, ...]]:
    """Read a document.

    Returns:
        Its root, and remarks: ``not-utf-8`` where octets were no UTF-8 although
        nothing else was declared.

    Raises:
        MalformedSignallingError: Not well-formed, with a DTD, too large or too deep.
    """
    if len(octets) > MAX_OCTETS:
        raise MalformedSignallingError(f"XML of {len(octets)} octets is too long")
    text, remarks = _decoded(octets)
    tree = _Tree()
    try:
        # Characters, not octets: expat then ignores what the document declares.
        parser = DefusedXMLParser(target=tree, forbid_dtd=True)
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE])
        parser.close()
    except DefusedXmlException:
        raise MalformedSignallingError("XML with a DTD or entities") from None
    except ParseError as exc:
        # Its message may repeat what was sent: only the line is told.
        raise MalformedSignallingError(
            "not well-formed XML", line=exc.position[0]
        ) from None
    if tree.root is None:
        raise MalformedSignallingError("XML without an element")
    return tree.root, remarks


def _decoded(octets: bytes) -> tuple[str, tuple[str, ...]]:
    """Turn octets into characters; blank ones around the document are dropped.

    Field: an empty line between the head of the part and ``<?xml``, which XML
    forbids, and display names in Latin-1 in a document that says it is UTF-8.
    """
    trimmed = octets.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")
    if b"\0" in trimmed or trimmed[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        raise MalformedSignallingError("XML that is neither UTF-8 nor Latin-1")
    declared = _DECLARED.match(trimmed)
    name = declared[1].lower() if declared else b"utf-8"
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        raise MalformedSignallingError("XML that is neither UTF-8 nor Latin-1")
    try:
        return trimmed.decode(encoding), ()
    except UnicodeDecodeError:
        return trimmed.decode("latin-1"), ("not-utf-8",)


class _Tree:
    """What the parser tells, counted."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._elements = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element, unless there are too many or they lie too deep."""
        self._elements += 1
        if len(self._open) >= MAX_DEPTH:
            raise MalformedSignallingError(f"XML deeper than {MAX_DEPTH} elements")
        if self._elements > _MAX_ELEMENTS or len(attributes) > _MAX_ATTRIBUTES:
            raise MalformedSignallingError("XML with too many elements or attributes")
        namespace, _, name = tag.rpartition("}")
        node = Node(
            name=name.lower(),
            namespace=namespace.removeprefix("{"),
            attributes={
                key.rpartition("}")[2].lower(): value
                for key, value in attributes.items()
            },
        )
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def data(self, text: str) -> None:
        """Keep text of the innermost element; the whole is capped as octets."""
        self._open[-1].pieces.append(text)

    def end(self, _tag: str) -> None:
        """Close the innermost element."""
        self._open.pop()

    def close(self) -> None:
        """Nothing is left to do."""
