"""What the process in which LiteLLM runs may not do, whatever LiteLLM is asked for.

Python tells its audit hooks of each connection, look-up, file and process before it happens, and a hook stays for the
life of a process. Native code that does these things itself is not seen; LiteLLM's is switched off.
"""

from __future__ import annotations

import mimetypes
import os
import ssl
import sys
import sysconfig
from collections.abc import Callable
from typing import Any, Final

_SYSTEM_FILES: Final = (
    *("/dev/null", "/dev/urandom", "/etc/os-release", "/usr/lib/os-release", "/etc/lsb-release"),
    *("/usr/share/zoneinfo", "/etc/localtime"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust"),
)
_NEVER: Final = (
    *("socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto", "socket.sendmsg", "socket.bind"),
    *("os.system", "pty.spawn"),
)
# The first call that leads nowhere and is not confined, and imports, may need these.
_NEVER_WHEN_CONFINED: Final = (
    *("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "os.killpg"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.utime"),
    *("os.chmod", "os.chown", "os.setxattr", "os.removexattr"),
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """The rules of this process. At first nothing is called; files are open, for imports need them."""

    def __init__(self) -> None:
        self._peer: tuple[str, int] | None = None
        self._readable: tuple[str, ...] | None = None
        self._checks: dict[str, Callable[[tuple[Any, ...]], bool]] = {
            "socket.connect": lambda arguments: self._is_peer(arguments[1]),
            "socket.getaddrinfo": lambda arguments: self._is_peer(arguments[:2]),
            "open": self._may_open,
            **dict.fromkeys(_NEVER, lambda _: False),
            **dict.fromkeys(_NEVER_WHEN_CONFINED, lambda _: self._readable is None),
        }

    def install(self) -> None:
        """From now on."""
        sys.addaudithook(self._hook)

    def confine_to(self, host: str, port: int) -> None:
        """Allow connections to this one address, no new process, and no file but those of Python and its packages."""
        self._peer = (host, port)
        authorities = ssl.get_default_verify_paths()
        roots = [
            # Not the prefixes themselves: a data folder may lie in one.
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
            *(*sys.path, *_SYSTEM_FILES),
            *(authorities.cafile, authorities.capath, authorities.openssl_cafile, authorities.openssl_capath),
            *(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")),
            *mimetypes.knownfiles,
        ]
        self._readable = tuple(os.path.abspath(root) for root in roots if root)  # noqa: PTH100 - links are followed nowhere

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        check = self._checks.get(event)
        if check is not None and not check(arguments):
            raise PermissionError(f"this process may not do that ({event})")

    def _is_peer(self, address: Any) -> bool:
        host, port = (*address, None)[:2] if isinstance(address, tuple) else (address, None)
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        # A look-up has the port as a text sometimes.
        return self._peer is not None and (host, str(port)) == (self._peer[0], str(self._peer[1]))

    def _may_open(self, arguments: tuple[Any, ...]) -> bool:
        path, mode, flags = arguments
        if self._readable is None or isinstance(path, int):
            return True
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITING):
            return False
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links are followed nowhere
        return any(whole == root or whole.startswith(root.rstrip("/") + "/") for root in self._readable)
