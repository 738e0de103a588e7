"""Answers of the warden: what ``ok`` holds for each call.

Guarantees: reading and writing are inverses; an answer of another shape is
`InvalidInputError`, which the client turns into "nothing was released".

Left to others: the outside of a reply (`vault.trust.messages`).

Spec: docs/reference/formats/warden-protocol.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from vault.core import canonical
from vault.core.ids import RecordingId, parse_recording_id
from vault.core.secrets import SecretBytes
from vault.trust import shapes
from vault.trust.interfaces import MAX_ROWS, IndexToken, SealedRow, WardenHealth
from vault.trust.messages import MAX_METADATA_BYTES
from vault.trust.shapes import Members

_DATA_KEY_BYTES: Final = 32
_MAX_WRAP_BYTES: Final = 256
_MAX_TOKENS: Final = 64
_FOREVER_MS: Final = 10**12


def key_answer(key: SecretBytes) -> canonical.JsonObject:
    """Return the answer that carries a data key."""
    return {"key": shapes.base64_text(key.reveal())}


def parse_key_answer(answer: Members) -> SecretBytes:
    """Read the answer to `ReleaseRequest`."""
    return SecretBytes(
        answer.octets("key", most=_DATA_KEY_BYTES, least=_DATA_KEY_BYTES)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRows:
    """Metadata by recording, and what did not fit into one frame."""

    rows: Mapping[RecordingId, bytes]
    rest: tuple[RecordingId, ...] = ()
    "Ask again for these: they were neither opened nor counted."

    def members(self) -> canonical.JsonObject:
        """Return the JSON answer."""
        return {
            "rows": {id: shapes.base64_text(row) for id, row in self.rows.items()},
            "rest": list(self.rest),
        }

    @classmethod
    def parse(cls, answer: Members) -> Self:
        """Read the JSON answer."""
        rows = answer.members("rows")
        return cls(
            rows={
                parse_recording_id(id): rows.octets(id, most=MAX_METADATA_BYTES)
                for id in rows.names()
            },
            rest=tuple(
                parse_recording_id(text)
                for text in answer.texts("rest", shapes.ID, most=MAX_ROWS)
            ),
        )


def sealed_row_answer(
    row: SealedRow, tokens: tuple[IndexToken, ...]
) -> canonical.JsonObject:
    """Return the answer to `SealRowRequest`."""
    return {
        "sealed": shapes.base64_text(row.sealed),
        "wrapped_key": shapes.base64_text(row.wrapped_key),
        "key_id": row.key_id,
        "tokens": [
            {
                "field": token.field,
                "month": token.month,
                "token": shapes.base64_text(token.token),
            }
            for token in tokens
        ],
    }


def parse_sealed_row_answer(
    answer: Members,
) -> tuple[SealedRow, tuple[IndexToken, ...]]:
    """Read the answer to `SealRowRequest`."""
    row = SealedRow(
        sealed=answer.octets("sealed", most=2 * MAX_METADATA_BYTES),
        wrapped_key=answer.octets("wrapped_key", most=_MAX_WRAP_BYTES),
        key_id=answer.text("key_id", shapes.SLUG),
    )
    items = answer.items("tokens", most=_MAX_TOKENS)
    return row, tuple(_parse_token(item) for item in items)


def _parse_token(item: Members) -> IndexToken:
    token = IndexToken(
        field=item.text("field", shapes.SLUG),
        month=item.text("month", shapes.MONTH),
        token=item.octets("token", most=_MAX_WRAP_BYTES),
    )
    item.done()
    return token


def tokens_answer(tokens: Mapping[str, bytes]) -> canonical.JsonObject:
    """Return the answer to `TokensRequest`: month → token."""
    return {
        "tokens": {month: shapes.base64_text(token) for month, token in tokens.items()}
    }


def parse_tokens_answer(answer: Members) -> dict[str, bytes]:
    """Read the answer to `TokensRequest`."""
    tokens = answer.members("tokens")
    return {
        month: tokens.octets(month, most=_MAX_WRAP_BYTES) for month in tokens.names()
    }


def texts_answer(texts: Mapping[str, str]) -> canonical.JsonObject:
    """Return the answer to `TextsRequest`: field → text."""
    return {"texts": dict(texts)}


def parse_texts_answer(answer: Members) -> dict[str, str]:
    """Read the answer to `TextsRequest`."""
    texts = answer.members("texts")
    return {field: texts.free_text(field) for field in texts.names()}


def health_answer(health: WardenHealth) -> canonical.JsonObject:
    """Return the answer to `HealthRequest`; the age is in whole milliseconds."""
    age_ms = min(health.last_append_age_s * 1000, _FOREVER_MS)
    return {
        "healthy": health.healthy,
        "last_append_age_ms": int(age_ms),
        "log_size": health.log_size,
        "detail": health.detail,
    }


def parse_health_answer(answer: Members) -> WardenHealth:
    """Read the answer to `HealthRequest`."""
    return WardenHealth(
        healthy=answer.flag("healthy"),
        last_append_age_s=answer.count("last_append_age_ms") / 1000,
        log_size=answer.count("log_size"),
        detail=answer.free_text("detail"),
    )
