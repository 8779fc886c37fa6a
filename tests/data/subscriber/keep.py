"""Keeps the subscriber of a released wheel as released.zip, for the test that runs it against the server of today.

python tests/data/subscriber/keep.py dist/modelwire-0.1.0-py3-none-any.whl
"""

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

with ZipFile(sys.argv[1]) as wheel, ZipFile(Path(__file__).with_name("released.zip"), "w", ZIP_DEFLATED) as kept:
    for name in sorted(wheel.namelist()):
        if name == "modelwire/__init__.py" or (name.startswith("modelwire/subscriber/") and name.endswith(".py")):
            # Without the moment, so that the same files make the same archive.
            kept.writestr(ZipInfo(name), wheel.read(name), ZIP_DEFLATED, 9)
