"""How long SIP waits, for every transaction of either side.

Spec: RFC 3261, section 17.1.1.1 and appendix A.
"""

from typing import Final

T1_S: Final = 0.5
"Estimate of the round trip (RFC 3261, section 17.1.1.1)."
T2_S: Final = 4.0
"Longest time between copies of one message."
T4_S: Final = 5.0
"Longest that the network keeps a message."
PATIENCE_S: Final = 64 * T1_S
"How long is waited for an answer or an ACK."
MEMORY_S: Final = PATIENCE_S + T4_S
"How long copies of a request may come: its sender's patience, and their way."
