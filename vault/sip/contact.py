"""What our ``Contact`` says: where a peer reaches us, and what we are.

Spec: RFC 3261, sections 8.1.1.8, 12.1.1 and 26.2.2; RFC 7866, section 6.1.2.
"""

from vault.sip.addresses import in_uri
from vault.sip.config import SipConfig
from vault.sip.messages import Request
from vault.sip.peers import Peer, Transport
from vault.sip.uris import scheme_of


def contact_of(config: SipConfig, request: Request, peer: Peer) -> str:
    """Return the value of our ``Contact`` in the answer to *request*.

    It names the address that the peer has reached: another one of ours may be behind
    a firewall for it.
    """
    host = in_uri(config.advertise or peer.local[0])
    scheme = "sips" if scheme_of(request.uri) == "sips" else "sip"
    transport = ""
    if peer.transport is Transport.TCP or scheme == "sips":
        # A sips URI means TLS by itself.
        transport = ";transport=tcp"
    elif peer.transport is Transport.TLS:
        # Deprecated, but there is no other word for it with a sip URI, and every
        # peer that speaks TLS knows it.
        transport = ";transport=tls"
    uri = f"{scheme}:{config.contact_user}@{host}:{peer.local[1]}{transport}"
    return f"<{uri}>;{config.feature_tags}" if config.feature_tags else f"<{uri}>"
