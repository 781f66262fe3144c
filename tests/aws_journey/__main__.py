# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the scenario `aws_journey`: `python -m tests.aws_journey STEP --directory DIRECTORY`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import cloud, journey

STEPS = {
    "start": cloud.start,
    "serve": lambda directory: cloud.Cloud(directory).serve(),
    "walk": journey.walk,
    "again": journey.again,
    "check": journey.check,
    "leave": journey.leave,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--directory", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        STEPS[arguments.step](arguments.directory.resolve())
    except AssertionError as error:
        sys.exit(f"{arguments.step}: {error}")


if __name__ == "__main__":
    main()
