"""The stream to a SIEM, as the installation's settings ask for it.

Guarantees: files of TLS are read once, at the start, and a wrong one stops it there.

Left to others: streaming (`vault.auditor.streaming`), the process
(`vault.serving.auditor`).
"""

from typing import Final

import structlog

from vault.audit.checkpoint import Verifier
from vault.audit.formats.registry import FORMATS
from vault.auditor.stream_place import StreamPlaces
from vault.auditor.streaming import Connection, StreamConfig, Streaming
from vault.auditor.syslog import SyslogConfig, own_hostname
from vault.auditor.syslog_connection import (
    StreamTls,
    SyslogConnection,
    client_context,
)
from vault.auditor.syslog_server import SyslogServer
from vault.config import Settings
from vault.trust.client import WardenClient
from vault.trust.trail import TrailThroughWarden
from vault.wiring import Installation

NOT_ENCRYPTED: Final = "audit.stream.not-encrypted"
_CLEAR: Final = "streaming: the trail leaves this machine without TLS"

log = structlog.get_logger()


def places_of(installation: Installation) -> StreamPlaces:
    """Return where the stream of this installation keeps its place."""
    return StreamPlaces(
        installation.auditor_folder, installation.settings.audit_stream_name
    )


def streaming_of(
    installation: Installation, warden: WardenClient
) -> tuple[Streaming, ...]:
    """Return the duty that streams the trail, if there is somewhere to stream it.

    Raises:
        ConfigurationError: A file of TLS cannot be read.
    """
    settings = installation.settings
    server = settings.audit_stream_url
    if server is None:
        return ()
    context = None
    if server.is_tls:
        context = client_context(
            StreamTls(
                ca_file=settings.audit_stream_ca,
                cert_file=settings.audit_stream_cert,
                key_file=settings.audit_stream_key,
            )
        )

    def connect() -> Connection:
        return SyslogConnection.open(server, context)

    return (
        Streaming(
            TrailThroughWarden(warden),
            warden,
            places_of(installation),
            connect,
            stream_config(settings, server),
            verifier=Verifier.parse(installation.verifier_key()),
        ),
    )


def stream_config(settings: Settings, server: SyslogServer) -> StreamConfig:
    """Return what is sent to *server*, and how."""
    in_clear = not server.is_tls and not server.is_loopback
    if in_clear:
        log.warning(NOT_ENCRYPTED)
    return StreamConfig(
        syslog=SyslogConfig(
            format=FORMATS[settings.audit_stream_format],
            hostname=own_hostname(),
            enterprise=settings.audit_stream_enterprise,
        ),
        query=settings.audit_stream_query,
        checkpoint_every_s=settings.audit_stream_checkpoint_minutes * 60.0,
        warning=_CLEAR if in_clear else "",
    )
