# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in of cloud-init on a test host: gets the user data from the metadata service and runs it, once in the life of
the machine.

Test hosts have no cloud-init. Its unit's settings are those of cloud-final.service.
"""

import os
import pathlib
import subprocess
import urllib.request

SERVICE = "http://169.254.169.254/latest"
SCRIPT = pathlib.Path("/var/lib/cloud/instance/scripts/part-001")


def main() -> None:
    wanted = urllib.request.Request(
        f"{SERVICE}/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    token = urllib.request.urlopen(wanted, timeout=10).read().decode()
    wanted = urllib.request.Request(f"{SERVICE}/user-data", headers={"X-aws-ec2-metadata-token": token})
    user_data = urllib.request.urlopen(wanted, timeout=10).read()
    SCRIPT.parent.mkdir(parents=True)
    SCRIPT.write_bytes(user_data)
    SCRIPT.chmod(0o700)
    done = subprocess.run([str(SCRIPT)], check=False)
    pathlib.Path("/var/lib/cloud/instance/boot-finished").write_text(f"{done.returncode}\n")
    os._exit(done.returncode)


if __name__ == "__main__":
    main()
