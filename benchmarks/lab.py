"""Where a benchmark works: its folder, what it started there, and whether it is a small run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Self, TypeVar

from .loader import Load
from .servers import (
    GraphQLServer,
    ReadyServer,
    Server,
    capture_frames,
    start_etag,
    start_modelwire,
    start_ready,
    start_stock,
)

_T = TypeVar("_T")


class Lab:
    """Starts what benchmarks need, and stops all of it at the end of `with`.

    `small`: the run is to show that the benchmarks work; its figures say little, and servers are used by one benchmark
    after the other.
    """

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.folder = folder
        self.small = small
        self._stack = contextlib.ExitStack()
        self._numbers = 0
        self._shared: dict[str, Server] = {}
        self._frames: tuple[Path, Path] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def choose(self, full: _T, small: _T) -> _T:
        """What a full run does, or what a small one."""
        return small if self.small else full

    def new_folder(self) -> Path:
        self._numbers += 1
        folder = self.folder / str(self._numbers)
        folder.mkdir(parents=True)
        return folder

    def load(self) -> Load:
        """A load generator of the benchmark's own."""
        load = Load(self.new_folder() / "log")
        self._stack.callback(load.stop)
        return load

    def start(self, kind: str) -> Any:
        """A server of this kind: `modelwire`, `stock`, `ceiling`, `broadcast` or `etag`. Give it back with `stop`."""
        server = self._shared.get(kind)
        if server is None:
            server = self._start(kind)
            if self.small:
                self._shared[kind] = server
        return server

    def stop(self, server: Server) -> None:
        if server not in self._shared.values():
            server.process.stop()

    def modelwire(self, *, folder: Path | None = None, **options: Any) -> GraphQLServer:
        """A server that is not shared, with the options of `start_modelwire`."""
        server = start_modelwire(folder or self.new_folder(), **options)
        self._stack.callback(server.process.stop)
        # From its placeholder to a whole configuration.
        server.change()
        return server

    def _start(self, kind: str) -> Server:
        if kind == "modelwire":
            return self.modelwire()
        if kind == "stock":
            stock = start_stock(self.new_folder())
            self._stack.callback(stock.process.stop)
            stock.change()
            return stock
        if kind == "etag":
            etag = start_etag(self.new_folder())
            self._stack.callback(etag.process.stop)
            return etag
        return self._ready(kind)

    def _ready(self, kind: str) -> ReadyServer:
        if self._frames is None:
            real: GraphQLServer = self.start("modelwire")
            self._frames = capture_frames(real, self.folder)
            self.stop(real)
        server = start_ready(kind, self.new_folder(), self._frames)
        self._stack.callback(server.process.stop)
        return server
