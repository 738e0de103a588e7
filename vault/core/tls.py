"""What every TLS listener of the vault agrees to.

Spec: RFC 9325 (BCP 195), section 4.2
"""

from typing import Final

CIPHERS: Final = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP"
"For TLS 1.2, as OpenSSL spells it: forward secrecy and authenticated encryption."
