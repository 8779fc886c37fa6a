"""What LiteLLM knows of models, asked of a process of its own, from which those of calls are split off.

Its import takes seconds, and would in a thread hold up whatever else this process does. The process is started by the
first question or call and stays for the next; it holds neither our settings nor anybody's keys.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ..store import Json
from .errors import Unavailable

logger = logging.getLogger(__name__)

# -P: else the modules of the working directory would stand for others of the same name.
_COMMAND: Final = (sys.executable, "-P", "-m", f"{__package__}.litellm_child")
_ANSWER_TIMEOUT_SECONDS: Final = 60.0
"""How long an answer may take, the import of LiteLLM on a busy machine included."""

# What a Python process needs to run where this one does. No other variable is passed on.
_PASSED_ON: Final = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)
# Nothing of LiteLLM may call past the proxy of a call: its native code and aiohttp do not take every call there. And
# its import must not fetch a price list from GitHub, or read a .env file of the working directory.
_LITELLM: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_RUST": "False",
    "DISABLE_AIOHTTP_TRANSPORT": "True",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model in LiteLLM's registry. `name` may begin with its provider's prefix.

    `max_input_tokens` None is unknown.
    """

    name: str
    max_input_tokens: int | None


async def supported_params(provider: str, model: str) -> tuple[str, ...] | None:
    """The parameters of OpenAI's API that LiteLLM takes for this model, None when it cannot tell.

    Raises Unavailable.
    """
    answer = await _ask("supported_params", provider=provider, model=model)
    return None if answer is None else tuple(answer)


async def known_models(provider: str) -> tuple[KnownModel, ...]:
    """The models for conversations that LiteLLM's registry has of this provider. Raises Unavailable."""
    return tuple(KnownModel(**model) for model in await _ask("models", provider=provider))


async def infer(model: str, api_base: str | None) -> tuple[str, str] | None:
    """The provider that LiteLLM routes a model to, and the model's name, which may have the provider's prefix; None
    when it cannot tell. Raises Unavailable.
    """
    answer = await _ask("infer", model=model, api_base=api_base)
    return None if answer is None else (answer[0], answer[1])


async def split_off(channel: socket.socket) -> subprocess.Popen[str]:
    """Have a process made for one call, which is told of it through the socket's other end; the one that has to make
    it. Raises Unavailable.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(_asking, _process.split_off, channel)
    except OSError as error:
        logger.warning("LiteLLM cannot be started: %s", error)
        raise Unavailable("LiteLLM could not be started: try again later") from error


def stop_asking() -> None:
    """Ask nothing any more, as this process ends: whoever waits for an answer hears now that there is none."""
    _asking.shutdown(wait=False, cancel_futures=True)
    _process.stop()


class LiteLLMProcess:
    """The process, started when it is asked. For one thread at a time, but for `stop`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._control: socket.socket | None = None
        self._stopped = False

    def ask(self, line: str) -> str:
        """The line that it answers with. Raises OSError when it does not: the next question starts it anew."""
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - a pipe, see _start
        assert process.stdout is not None  # noqa: S101 - a pipe, see _start
        overdue = threading.Timer(_ANSWER_TIMEOUT_SECONDS, process.kill)
        overdue.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            overdue.cancel()
        if not answer:
            raise OSError(f"it ended with exit code {process.wait()}")
        return answer

    def split_off(self, channel: socket.socket) -> subprocess.Popen[str]:
        """Give it the socket of a call. Raises OSError when it cannot take it."""
        process = self._running()
        assert self._control is not None  # noqa: S101 - made with the process
        socket.send_fds(self._control, [b"c"], [channel.fileno()])
        return process

    def stop(self) -> None:
        """Have it answer nothing any more, in any thread and at any moment: `ask` raises OSError."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._control is not None:
            self._control.close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = self._start()
        if self._stopped:
            self._process.kill()
        return self._process

    def _start(self) -> subprocess.Popen[str]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._control, theirs = socket.socketpair()
        with theirs:
            return subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [*_COMMAND, str(theirs.fileno())],
                env={**environment, **_LITELLM},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                text=True,
                # Ctrl-C is for the server, which ends this one when it is done.
                start_new_session=True,
            )


_process = LiteLLMProcess()
# A thread of its own: waiting for an answer must take none from those who resolve names and read files.
_asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="litellm")
atexit.register(_process.close)


async def _ask(question: str, **details: str | None) -> Json:
    line = json.dumps({"question": question, **details})
    try:
        answer = json.loads(await asyncio.get_running_loop().run_in_executor(_asking, _process.ask, line))
    except (OSError, ValueError) as error:
        logger.warning("LiteLLM does not answer in its process: %s", error)
        raise Unavailable("LiteLLM could not be asked: try again later") from error
    if "error" in answer:
        logger.warning("LiteLLM failed with %s when asked for %s", answer["error"], question)
        raise Unavailable(f"LiteLLM could not tell ({answer['error']})")
    return answer["answer"]
