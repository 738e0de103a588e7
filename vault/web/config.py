"""What the web room must be told; nothing here has to be secret."""

from dataclasses import dataclass, field

from vault.edge.config import EdgeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Limits and facts of one web process."""

    edge: EdgeConfig = field(default_factory=lambda: EdgeConfig(spares_loopback=True))
    "What is refused before a route is looked at."

    actor_requests_per_minute: int = 600
    "Of one session or token, wherever its requests come from."

    streams_per_session: int = 8
    "Media answers that one session may have open at once."

    hardening_gaps: tuple[str, ...] = field(default=())
    "What `vault.process.harden` could not do, for `/readyz` to say."

    https: bool = False
    "Whether people reach this process over TLS (adds HSTS)."
