"""Settings of the stream: where the trail is sent entry by entry, and how.

Guarantees: what leaves this machine without TLS is asked for in so many words.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from vault.audit.language import NoNames, read
from vault.audit.query import EVERYTHING, TrailQuery
from vault.auditor.syslog import DOCUMENTATION_ENTERPRISE
from vault.auditor.syslog_server import SyslogServer
from vault.core.clock import system_clock_ns
from vault.core.errors import InvalidInputError


def _server(value: object) -> SyslogServer | None:
    if value is None or isinstance(value, SyslogServer):
        return value
    return SyslogServer.parse(str(value)) if value else None


def _query(value: object) -> TrailQuery:
    if isinstance(value, TrailQuery):
        return value
    try:
        # Ids alone: who has which name is not known here, and may change.
        reading = read(str(value), names=NoNames(), now_ns=system_clock_ns())
    except InvalidInputError as exc:
        raise ValueError(str(exc)) from None
    if reading.unknown:
        raise ValueError("write ids, not names")
    if reading.query.since or reading.query.until:
        raise ValueError("a stream has no end and begins at the first entry")
    return reading.query


class StreamingSettings(BaseModel):
    """How the trail is streamed to a SIEM (docs/reference/configuration.md)."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    audit_stream_url: Annotated[
        SyslogServer | None, NoDecode, BeforeValidator(_server)
    ] = None
    "``tls://host[:port]``; None: nothing is streamed."
    audit_stream_name: str = Field(default="siem", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    "Another name begins at the first entry again."
    audit_stream_format: Literal["cef", "json", "leef", "ocsf"] = "json"
    audit_stream_query: Annotated[TrailQuery, NoDecode, BeforeValidator(_query)] = (
        EVERYTHING
    )
    "Which entries, in the language of the officer's page; empty: all."
    audit_stream_ca: Path | None = None
    "Roots that the receiver's certificate must lead to; None: the system's."
    audit_stream_cert: Path | None = None
    audit_stream_key: Path | None = None
    audit_stream_allow_clear: bool = False
    "Whether ``tcp://`` may lead beyond this machine."
    audit_stream_checkpoint_minutes: int = Field(default=60, ge=0, le=10_080)
    "The newest checkpoint is sent so often; 0: never."
    audit_stream_enterprise: int = Field(
        default=DOCUMENTATION_ENTERPRISE, ge=1, le=4_294_967_295
    )
    "Private enterprise number in the name of the structured data."

    @model_validator(mode="after")
    def _stream(self) -> Self:
        if (self.audit_stream_cert is None) != (self.audit_stream_key is None):
            raise ValueError("audit_stream_cert and audit_stream_key go together")
        server = self.audit_stream_url
        if server is None or server.is_tls or server.is_loopback:
            return self
        if not self.audit_stream_allow_clear:
            raise ValueError(
                f"audit_stream_url {server} is not encrypted and leads beyond this "
                "machine: write tls://, or set audit_stream_allow_clear"
            )
        return self
