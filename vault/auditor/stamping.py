"""Having checkpoints stamped by an outside authority, and keeping what it says.

A checkpoint says what the log was; a time stamp says that it was so by then, in the
word of somebody who has no part in it.  What is stamped are the octets of a checkpoint
that is kept in the store, and the response lies beside it.

Guarantees: a response is checked before it is kept; one checkpoint is stamped once,
however often this process starts; an authority that is away stops nothing else.

Left to others: checking (`vault.auditor.timestamps`), what is kept
(`vault.auditor.publishing`).

Spec: RFC 3161, section 3.4 (HTTP)
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from vault.auditor.anchors import Anchors, Kept
from vault.auditor.asking import Asking
from vault.auditor.timestamps import TimeStamps, question_about
from vault.core.canonical import JsonValue
from vault.core.errors import NotFoundError, UnavailableError
from vault.objects.keys import ObjectKey

_QUESTION: Final = "application/timestamp-query"
_ANSWER: Final = "application/timestamp-reply"
_OK: Final = 200


class Stamping:
    """Implements `vault.auditor.duties.Duty`."""

    name = "stamping"

    def __init__(
        self,
        *,
        url: str,
        asking: Asking,
        stamps: TimeStamps,
        newest: Callable[[], Kept | None],
        read: Callable[[ObjectKey], bytes],
        keep: Callable[[ObjectKey, bytes], None],
        interval_s: float = 3600.0,
    ) -> None:
        """Ask the authority at *url*.

        Args:
            url: Of the authority.
            asking: Speaks HTTP.
            stamps: Checks what it says.
            newest: Gives the newest checkpoint that is kept.
            read: Reads a response from the store, or raises `NotFoundError`.
            keep: Puts a response into the store, locked where it locks.
            interval_s: Seconds between time stamps.
        """
        self.interval_s = interval_s
        self._url = url
        self._asking = asking
        self._stamps = stamps
        self._newest = newest
        self._read = read
        self._keep = keep
        self._stamped: tuple[int, int] = (0, 0)

    def facts(self) -> Mapping[str, JsonValue]:
        """See `vault.auditor.duties.Telling`."""
        size, time_s = self._stamped
        return {"stamped_size": size, "stamped_time_s": time_s}

    def run(self) -> None:
        """See `Duty`."""
        kept = self._newest()
        if kept is None:
            raise UnavailableError("no checkpoint is kept yet")
        if kept.size == self._stamped[0]:
            return
        key = Anchors(kept.origin).time_stamp(kept.size)
        # 1. A process before this one may have asked already.
        with suppress(NotFoundError):
            said = self._stamps.check(self._read(key), kept.octets)
            self._stamped = (kept.size, int(said.timestamp()))
            return
        # 2. Ask, about the octets as they lie in the store.
        question = question_about(kept.octets)
        answer = self._asking.post(self._url, question.as_bytes(), media_type=_QUESTION)
        if answer.status != _OK or answer.media_type != _ANSWER:
            raise UnavailableError(f"the authority answers {answer.status}")
        # 3. Nothing is kept that would not convince anybody.
        said = self._stamps.check(answer.body, kept.octets, asked=question)
        # 4. Beside the checkpoint.
        self._keep(key, answer.body)
        self._stamped = (kept.size, int(said.timestamp()))
