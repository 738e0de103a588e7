"""What the web room must be told; nothing here has to be secret."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Limits and facts of one web process."""

    requests_per_minute: int = 1200
    "Per client address; a page with a player needs about a dozen."

    streams_per_session: int = 8
    "Media answers that one session may have open at once."

    hardening_gaps: tuple[str, ...] = field(default=())
    "What `vault.process.harden` could not do, for `/readyz` to say."

    https: bool = False
    "Whether people reach this process over TLS (adds HSTS)."
