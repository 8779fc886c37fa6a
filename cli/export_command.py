"""`modelwire export`: the server's model configs as a file."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from .client import connect
from .errors import CommandError
from .output import Format, Output, print_json

EXPORT = """
query Export($format: ExportFormat!) {
  modelConfigExport(format: $format) { content revision }
}
"""


def export_configs(form: Format, *, file: Path | None, url: str | None, token: str | None, output: Output) -> None:
    """Write the export to `file`, to standard output when None. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        exported = client.execute(EXPORT, {"format": form.name})["modelConfigExport"]
    if file is not None:
        _write(file, exported["content"])
    if output is Output.JSON:
        written = {"file": str(file)} if file is not None else {"content": exported["content"]}
        print_json({"format": form, "revision": exported["revision"], **written})
    elif file is None:
        # As it is: the text is UTF-8 wherever it goes, and YAML has escaped what could steer a terminal.
        sys.stdout.buffer.write(exported["content"].encode())
        sys.stdout.flush()


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
