"""Several processes on one socket, as far as it does not take a server to see it."""

from __future__ import annotations

import subprocess
import sys

# The first worker that ends is replaced while no file can be opened; the third ends it all.
_SUPERVISOR = """
import os, resource, signal, time
from functools import partial
from modelwire.server.workers import supervise

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
told = []

def ended(pid):
    told.append(pid)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 if len(told) == 1 else soft, hard))
    if len(told) == 3:
        os.kill(os.getpid(), signal.SIGTERM)

supervise(1, partial(time.sleep, 0), ended)
print(len(told), len(set(told)))
"""


def test_a_worker_that_cannot_be_replaced_at_once_is_replaced_later() -> None:
    command = [sys.executable, "-c", _SUPERVISOR]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["3", "2"]), done.stderr
    assert "no worker can be started: Too many open files" in done.stderr
