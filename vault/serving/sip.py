"""SIPREC in the tap's process: its listeners, and how they stand.

Guarantees: a port that somebody has asked for and that is taken stops the tap; the
default one, for which nobody has asked, stops nothing: SIP is then off, and status,
readiness and log say so.

Left to others: what a request means (`vault.siprec.server`), when to drain and stop
(`vault.serving.tap`).
"""

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from vault.config import Settings
from vault.core.errors import ConfigurationError
from vault.sip.addresses import in_uri
from vault.sip.config import SipConfig
from vault.sip.peers import Transport
from vault.sip.user_agent import UserAgent
from vault.siprec.admission import Admission, AdmissionConfig
from vault.siprec.interfaces import RecordingDesk, SipDevices
from vault.siprec.server import RecordingServer

LISTENING: Final = "sip.listening"
NOT_LISTENING: Final = "sip.not-listening"
_GOODBYES_S: Final = 2.0
"How long peers may take to answer a BYE when the tap ends."
_log = structlog.get_logger()


class SipService:
    """The session recording server with its user agent."""

    def __init__(
        self,
        settings: Settings,
        desk: RecordingDesk,
        devices: SipDevices,
        *,
        why_not: Callable[[], str],
    ) -> None:
        """Make the parts; nothing listens yet.

        Raises:
            ConfigurationError: Listeners and certificates do not go together.
        """
        self._admission = Admission(devices, _admission_config(settings))
        self.server = RecordingServer(desk, self._admission, why_not=why_not)
        config = sip_config(settings)
        self._agent = UserAgent(self.server, config)
        self._meant = settings.sip_listen_is_meant
        self._off = not config.listen
        self.problem = ""
        "Why nothing listens where something should; empty if all is well."

    async def start(self) -> None:
        """Go on with the dialogs that were kept, then take messages.

        Raises:
            ConfigurationError: A listener that somebody has asked for is taken.
        """
        self.server.begin(self._agent)
        if self._off:
            return
        try:
            await self._agent.start()
        except ConfigurationError as exc:
            if self._meant:
                raise
            self.problem = str(exc)
            _log.warning(NOT_LISTENING, problem=self.problem)
        else:
            _log.info(LISTENING, listeners=self._listeners())

    async def stop(self) -> None:
        """Tell peers of calls that have ended, then close every socket.

        Called when the desk has ended what runs; until then requests are answered.
        """
        await self.server.finish(within_s=_GOODBYES_S)
        await self._agent.stop()

    def members(self) -> Mapping[str, object]:
        """Return how it stands, for the tap's status."""
        counts = self._agent.counts()
        return {
            "listeners": self._listeners(),
            "problem": self.problem,
            "calls": self.server.calls,
            "dialogs": counts.dialogs,
            "connections": counts.connections,
            "cut_off": counts.cut_off,
            "retransmissions": counts.retransmissions,
            "requests": dict(counts.requests),
            "responses": {str(k): v for k, v in counts.responses.items()},
            "dropped": {str(k): v for k, v in counts.refused.items()},
            "refused": {str(k): v for k, v in self._admission.counts.items()},
        }

    def _listeners(self) -> list[str]:
        if self._off or self.problem:
            return []
        return [
            f"{transport}:{in_uri(host)}:{port}"
            for transport, host, port in self._agent.bound
        ]


def sip_config(settings: Settings) -> SipConfig:
    """Return what the user agent is told.

    Raises:
        ConfigurationError: Listeners and certificates do not go together.
    """
    cert, key = settings.tls_for("sip")
    return SipConfig(
        listen=tuple(
            (Transport(one.transport), one.host, one.port)
            for one in settings.sip_listen.listeners(tls=cert is not None)
        ),
        tls_cert=cert,
        tls_key=key,
        tls_ca=settings.sip_tls_ca,
        advertise=settings.sip_advertise or "",
        max_connections=settings.sip_max_connections,
        max_connections_per_address=settings.sip_max_connections_per_address,
        address_rate=settings.sip_address_rate,
        min_session_expires_s=settings.sip_min_session_expires_s,
    )


def _admission_config(settings: Settings) -> AdmissionConfig:
    return AdmissionConfig(
        allow=settings.sip_allow,
        deny=settings.sip_deny,
        device_rate=settings.sip_device_rate,
    )
