"""What a process may not do that makes a call, whatever the library in it tries."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import json, os, socket, subprocess, sys, urllib.request
from modelwire.resolvers.litellm_guard import Guard

port, canary, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def outcome(what):
    try:
        what()
    except PermissionError as error:
        return "refused" if "may not" in str(error) else "other: " + str(error)
    except BaseException as error:
        return type(error).__name__
    return "done"

def connect(host, port, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.connect((host, port) if family != socket.AF_UNIX else host)

def fork():
    if os.fork() == 0:
        os._exit(0)

tried = {
    "peer": lambda: connect("127.0.0.1", port),
    "peer by name": lambda: socket.create_connection(("127.0.0.1", port)).close(),
    "other port": lambda: connect("127.0.0.1", port + 1),
    "other host": lambda: connect("127.0.0.2", port),
    "metadata": lambda: connect("169.254.169.254", 80),
    "IPv6": lambda: connect("::1", port, socket.AF_INET6),
    "local socket": lambda: connect("/tmp/none", 0, socket.AF_UNIX),
    "look-up": lambda: socket.getaddrinfo("models.example", 443),
    "old look-up": lambda: socket.gethostbyname("models.example"),
    "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "without a proxy": lambda: urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:1"),
    "foreign file": lambda: open(canary).read(),
    "foreign file around": lambda: open(sys.prefix + "/../" * 30 + canary).read(),
    "foreign file by os": lambda: os.open(canary, os.O_RDONLY),
    "own environment": lambda: open("/proc/self/environ").read(),
    "write": lambda: open(folder + "/x", "w"),
    "write beside Python": lambda: open(sys.prefix + "/x", "a"),
    "remove": lambda: os.remove(canary),
    "rename": lambda: os.rename(canary, canary + "x"),
    "mode": lambda: os.chmod(canary, 0o777),
    "folder": lambda: os.mkdir(folder + "/x"),
    "link": lambda: os.symlink(canary, folder + "/x"),
    "kill": lambda: os.kill(os.getppid(), 0),
    "Python's files": lambda: open(os.__file__).read(),
    "import": lambda: __import__("wsgiref.simple_server"),
    "command": lambda: subprocess.run(["true"]),
    "shell": lambda: os.system("true"),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "fork": fork,
}
guard = Guard()
guard.install()
before = {name: outcome(tried[name]) for name in ("peer", "look-up", "foreign file")}
guard.confine_to("127.0.0.1", port)
print(json.dumps([before, {name: outcome(what) for name, what in tried.items()}]))
"""


def test_it_is_confined_to_its_proxy_and_to_pythons_files(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("canary")
    with socket.create_server(("127.0.0.1", 0)) as peer:
        port = peer.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(port), str(tmp_path / "canary"), str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
    before, confined = json.loads(run.stdout)
    assert before == {"peer": "refused", "look-up": "refused", "foreign file": "done"}
    allowed = {"peer", "peer by name", "Python's files", "import"}
    # urllib tells of the refusal in an error of its own.
    assert confined.pop("without a proxy") in {"refused", "URLError"}
    assert confined == {name: "done" if name in allowed else "refused" for name in confined}
    assert list(tmp_path.iterdir()) == [tmp_path / "canary"]
