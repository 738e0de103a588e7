"""Call detail records of a PBX, read from whatever CSV it writes.

Guarantees:
    * A file that is too large, or no text in columns, is refused and never half read
      in silence; a row that cannot be understood is named by its line.
    * Nothing of a record is kept but the five values that are compared.
    * Content is data: a cell that begins with ``=`` is a cell.

Left to others: comparing (`vault.recorder.reconcile`).

Spec: RFC 4180, and what PBXes make of it.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice
from types import MappingProxyType
from typing import Final

from vault.core.errors import InvalidInputError

MAX_BYTES: Final = 64 << 20
MAX_ROWS: Final = 1_000_000
MAX_CELL: Final = 4096

_DELIMITERS: Final = ",;\t|"
_SAMPLE_ROWS: Final = 50
_MS_PER_S: Final = 1000
_EPOCH_S: Final = range(10**8, 10**10)
_PLAIN: Final = re.compile(r"[^a-z0-9]")
_FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M",
)
_CLOCK: Final = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,3}):([0-9]{2})(?:\.[0-9]+)?")

# What PBXes call their columns, without case and punctuation, best first.
_GUESSES: Final = MappingProxyType(
    {
        "id": (
            "sipcallid", "callid", "ucid", "linkedid", "uniqueid", "uuid", "calluuid",
            "globalcallid", "globalcallidcallid", "sessionid", "recordid", "id",
        ),
        "start": (
            "starttime", "start", "calldate", "startstamp", "answertime", "answer",
            "answerstamp", "datetimeconnect", "datetimeorigination", "begin", "date",
            "time", "timestamp",
        ),
        "duration": (
            "billsec", "durationseconds", "durations", "duration", "talktime",
            "callduration", "conversationtime", "length",
        ),
        "caller": (
            "src", "caller", "callernumber", "calleridnumber", "calling",
            "callingnumber", "callingpartynumber", "from", "ani", "source", "clid",
        ),
        "callee": (
            "dst", "callee", "calleenumber", "called", "callednumber",
            "destinationnumber", "finalcalledpartynumber", "calledpartynumber",
            "originalcalledpartynumber", "to", "dnis", "destination",
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is which: a name of the header, a number from 1, or a guess."""

    id: str = ""
    start: str = ""
    duration: str = ""
    caller: str = ""
    callee: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvShape:
    """How a file is to be read."""

    columns: Columns = Columns()
    zone: tzinfo = UTC
    "Of times that name none."
    time_format: str = ""
    "For `datetime.strptime`; empty tries what PBXes write."
    header: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailRecord:
    """One call, as its PBX has it."""

    line: int
    "Of the file, from 1: where an operator looks."
    id: str = ""
    start_s: float | None = None
    "Since the epoch."
    duration_s: float | None = None
    caller: str = ""
    callee: str = ""

    def __repr__(self) -> str:
        # Numbers of people stay out of tracebacks and logs.
        return f"<DetailRecord of line {self.line}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that could not be understood."""

    line: int
    why: str
    "For the operator; repeats nothing of the row."


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailRecords:
    """What was read of a file."""

    records: tuple[DetailRecord, ...]
    unreadable: tuple[Unreadable, ...]
    "Rows that could not be understood."


class _RowError(ValueError):
    """A row that is no call; its text is for the operator."""


def read_records(octets: bytes, shape: CsvShape) -> DetailRecords:
    """Read a whole file.

    Raises:
        InvalidInputError: Too large, no text, no such column, or nothing to compare.
    """
    if len(octets) > MAX_BYTES:
        raise InvalidInputError(f"more than {MAX_BYTES >> 20} MiB of call records")
    text = _decoded(octets)
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter)
    _, first = next(rows, (0, []))
    if not first:
        raise InvalidInputError("there are no call records in it")
    places = _places(first, shape)
    records: list[DetailRecord] = []
    unreadable: list[Unreadable] = []
    if not shape.header:
        rows = _rows(text, delimiter)
    for line, cells in rows:
        if len(records) >= MAX_ROWS:
            raise InvalidInputError(f"more than {MAX_ROWS} call records")
        try:
            records.append(_record(line, cells, places, shape))
        except _RowError as error:
            unreadable.append(Unreadable(line=line, why=str(error)))
    return DetailRecords(records=tuple(records), unreadable=tuple(unreadable))


def _decoded(octets: bytes) -> str:
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        text = octets.decode(encoding)
    except UnicodeDecodeError:
        text = octets.decode("latin-1")  # every octet is a letter there
    if "\0" in text:
        raise InvalidInputError("that is no text")
    return text


def _delimiter(text: str) -> str:
    """Return what splits the first rows into the most columns, most of them alike."""

    def score(delimiter: str) -> tuple[int, int]:
        sample = islice(_rows(text, delimiter), _SAMPLE_ROWS)
        try:
            widths = [len(cells) for _, cells in sample]
        except InvalidInputError:
            return (0, 0)
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) if usual > 1 else 0, usual)

    return max(_DELIMITERS, key=score)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise InvalidInputError(
                "not comma-separated values", line=reader.line_num
            ) from None
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _places(first: Sequence[str], shape: CsvShape) -> dict[str, int]:
    """Return where each of the five values stands, as far as it does."""
    names = [_plain(cell) for cell in first] if shape.header else []
    places = {}
    for what, guesses in _GUESSES.items():
        asked = getattr(shape.columns, what)
        if asked:
            places[what] = _asked_place(asked, first, shape)
        else:
            found = [names.index(guess) for guess in guesses if guess in names]
            if found:
                places[what] = found[0]
    if "id" not in places and "start" not in places:
        raise InvalidInputError(
            "no column with the call's id or start: name one (--column-id, "
            "--column-start); if the first line is a call already, add --no-header"
        )
    return places


def _asked_place(asked: str, first: Sequence[str], shape: CsvShape) -> int:
    names = [cell.strip().casefold() for cell in first] if shape.header else []
    if asked.strip().casefold() in names:
        return names.index(asked.strip().casefold())
    if asked.isascii() and asked.isdigit() and 0 < int(asked) <= len(first):
        return int(asked) - 1
    raise InvalidInputError(f"no column {asked[:40]!r} in the call records")


def _record(
    line: int, cells: Sequence[str], places: dict[str, int], shape: CsvShape
) -> DetailRecord:
    """Read one row.  Raises `_RowError` where a value is none of its kind."""

    def cell(what: str) -> str:
        place = places.get(what)
        text = (
            "" if place is None else cells[place].strip() if place < len(cells) else ""
        )
        if len(text) > MAX_CELL:
            raise _RowError(f"its {what} has more than {MAX_CELL} characters")
        return text

    start, duration = cell("start"), cell("duration")
    record = DetailRecord(
        line=line,
        id=cell("id"),
        start_s=_start(start, shape) if start else None,
        duration_s=_length(duration) if duration else None,
        caller=cell("caller"),
        callee=cell("callee"),
    )
    if not record.id and record.start_s is None:
        raise _RowError("it has neither an id nor a start")
    return record


def _start(text: str, shape: CsvShape) -> float:
    try:
        return _time(text, shape)
    except (ValueError, OverflowError):
        raise _RowError(
            "its start does not fit --time-format"
            if shape.time_format
            else "its start is written in no way we know: say --time-format"
        ) from None


def _length(text: str) -> float:
    try:
        return _duration(text)
    except (ValueError, OverflowError):
        raise _RowError("its duration is neither seconds nor h:mm:ss") from None


def _time(text: str, shape: CsvShape) -> float:
    if shape.time_format:
        return _stamp(datetime.strptime(text, shape.time_format), shape.zone)  # noqa: DTZ007 - its zone is set next
    if text.isascii() and text.replace(".", "", 1).isdigit():
        seconds = float(text)
        for scale in (1, _MS_PER_S):
            if int(seconds / scale) in _EPOCH_S:
                return seconds / scale
    try:
        return _stamp(datetime.fromisoformat(text), shape.zone)
    except ValueError:
        pass
    for format in _FORMATS:
        try:
            return _stamp(datetime.strptime(text, format), shape.zone)  # noqa: DTZ007 - its zone is set next
        except ValueError:
            continue
    raise ValueError("not a time")


def _stamp(read: datetime, zone: tzinfo) -> float:
    return (read if read.tzinfo else read.replace(tzinfo=zone)).timestamp()


def _duration(text: str) -> float:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return hours * 3600.0 + minutes * 60 + seconds
    seconds_s = float(text.replace(",", "."))
    if not 0 <= seconds_s < 10**8:  # three years: no call, and no NaN
        raise ValueError("not a duration")
    return seconds_s


def _plain(name: str) -> str:
    return _PLAIN.sub("", name.casefold())
