"""Settings of listeners: addresses, certificates, who may come, and how often.

Guarantees: a listener beyond loopback without TLS is refused, with the way out.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vault.core.endpoints import Endpoint, SipListen
from vault.core.origins import Origin
from vault.edge.config import ProxyHeader
from vault.settings.kinds import Listen, Prefixes, SipListens, WebOrigin


class ListeningSettings(BaseModel):
    """Where Callvault listens, and to whom."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    web_listen: Listen = Endpoint("127.0.0.1:8080")
    forks_listen: Listen = Endpoint("127.0.0.1:8081")
    sip_listen: SipListens = SipListen("127.0.0.1:5060")
    "See `SipListen`.  Nobody asked for the default port: a taken one is a warning."
    sip_advertise: str | None = None
    "Address to put into ``Contact``; None means that which the peer has reached."
    metrics_listen: Listen = Endpoint("127.0.0.1:9090")

    tls_cert: Path | None = None
    tls_key: Path | None = None
    web_tls_cert: Path | None = None
    web_tls_key: Path | None = None
    forks_tls_cert: Path | None = None
    forks_tls_key: Path | None = None
    sip_tls_cert: Path | None = None
    sip_tls_key: Path | None = None
    sip_tls_ca: Path | None = None
    "Roots that certificates of SIP peers must lead to."

    trusted_proxies: Prefixes = ()
    "Whose word about the client counts, on web and forks; empty: nobody's does."
    trusted_proxy_header: ProxyHeader = ProxyHeader.X_FORWARDED_FOR
    "In which header they say it; no other is looked at."
    web_allow: Prefixes = ()
    web_deny: Prefixes = ()
    web_max_connections: int = Field(default=2000, ge=1, le=100_000)
    web_max_connections_per_address: int = Field(default=200, ge=1, le=100_000)
    web_requests_per_minute: int = Field(default=1200, ge=1, le=1_000_000)
    "Of one client address."
    web_actor_requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    "Of one session or token."
    forks_allow: Prefixes = ()
    forks_deny: Prefixes = ()
    forks_max_connections: int = Field(default=4000, ge=1, le=100_000)
    forks_max_connections_per_address: int = Field(default=1000, ge=1, le=100_000)
    forks_requests_per_minute: int = Field(default=60_000, ge=1, le=10_000_000)
    "Of one client address."
    forks_device_rate: int = Field(default=500, ge=1, le=100_000)
    "Requests per second of one device."

    sip_allow: Prefixes = ()
    "Where SIP may come from at all; empty: from anywhere."
    sip_deny: Prefixes = ()
    "Where it may not, whatever `sip_allow` says."
    sip_max_connections: int = Field(default=2000, ge=1, le=100_000)
    sip_max_connections_per_address: int = Field(default=100, ge=1, le=100_000)
    sip_address_rate: int = Field(default=200, ge=1, le=100_000)
    "Messages per second from one address, in the long run."
    sip_device_rate: int = Field(default=100, ge=1, le=100_000)
    "Requests per second of one device, in the long run."
    sip_min_session_expires_s: int = Field(default=90, ge=90, le=86_400)
    drain_s: int = Field(default=0, ge=0, le=86_400)
    "How long running calls may go on after SIGTERM, while new ones are refused."

    web_origin: WebOrigin | None = None
    "Where browsers find the pages, as they spell it.  See `public_origin`."

    @model_validator(mode="after")
    def _contradictions(self) -> Self:
        for name in ("web", "forks", "sip"):
            cert, key = self.tls_for(name)
            if (cert is None) != (key is None):
                raise ValueError(f"{name}: a certificate and its key go together")
            if name == "sip":
                # Beyond loopback, what may be said without TLS is each device's own
                # matter (`device add --allow clear-signalling`), so no rule here.
                continue
            listen: Endpoint = getattr(self, f"{name}_listen")
            if cert is None and not listen.is_loopback:
                raise ValueError(
                    f"{name}_listen {listen} reaches beyond this machine: set tls_cert "
                    f"and tls_key (or {name}_tls_cert and {name}_tls_key)"
                )
        if self.sip_listen.needs_certificate and self.tls_for("sip")[0] is None:
            raise ValueError(
                "sip_listen asks for TLS: set tls_cert and tls_key, or sip_tls_cert "
                "and sip_tls_key"
            )
        if not self.metrics_listen.is_loopback:
            raise ValueError("metrics_listen must stay on loopback: it has no sign-in")
        return self

    def tls_for(self, listener: str) -> tuple[Path | None, Path | None]:
        """Return certificate and key of *listener*: its own, else the common ones."""
        return (
            getattr(self, f"{listener}_tls_cert") or self.tls_cert,
            getattr(self, f"{listener}_tls_key") or self.tls_key,
        )

    @property
    def public_origin(self) -> str | None:
        """Where browsers find the pages: as is set, or on loopback where they listen.

        None beyond loopback, where a certificate's names can't be guessed, and for a
        port that the kernel chooses.
        """
        if self.web_origin is not None:
            return str(self.web_origin)
        if not self.web_listen.is_loopback or not self.web_listen.port:
            return None
        scheme = "http" if self.tls_for("web")[0] is None else "https"
        return str(Origin.parse(f"{scheme}://{self.web_listen}"))

    @property
    def passkey_origins(self) -> tuple[str, ...]:
        """Where browsers may make and show passkeys: a name, never a number."""
        found = {self.public_origin} - {None}
        if self.web_listen.is_loopback:
            scheme = "http" if self.tls_for("web")[0] is None else "https"
            found.add(str(Origin.parse(f"{scheme}://localhost:{self.web_listen.port}")))
        return tuple(sorted(one for one in found if one))

    @property
    def sip_listen_is_meant(self) -> bool:
        """Whether somebody wrote down where SIP listens."""
        return "sip_listen" in self.model_fields_set
