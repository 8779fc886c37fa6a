"""What the peers share: frames of the same length as Modelwire's, made before, and how often they ping."""

from __future__ import annotations

import sys
from pathlib import Path

ACK = '{"type":"connection_ack","payload":{}}'
SUBPROTOCOL = "graphql-transport-ws"
PING_SECONDS = 50.0
"""As often as Modelwire. Those who ping more often do so while another of the servers is measured, on the same core."""


def ready_frames() -> tuple[str, str]:
    """The first frame of a subscription and the frame of a change: from the two files that the program is given."""
    snapshot, change = sys.argv[1:3]
    return Path(snapshot).read_text(), Path(change).read_text()
