"""What the peers without GraphQL send: frames that were made before, of the same length as Modelwire's."""

from __future__ import annotations

import sys
from pathlib import Path

ACK = '{"type":"connection_ack","payload":{}}'
SUBPROTOCOL = "graphql-transport-ws"


def ready_frames() -> tuple[str, str]:
    """The first frame of a subscription and the frame of a change: from the two files that the program is given."""
    snapshot, change = sys.argv[1:3]
    return Path(snapshot).read_text(), Path(change).read_text()
