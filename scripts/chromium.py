"""Find Chromium, and with `--install` install Debian's where there is none and that is possible.

Prints its path. Without a browser it says what to do, and exits with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def find_chromium() -> str | None:
    """Return the path of CHROMIUM, or of a browser on the PATH; None: there is none."""
    named = os.environ.get("CHROMIUM")
    found = next(filter(None, map(shutil.which, (named,) if named else NAMES)), None)
    return found or (MAC if not named and Path(MAC).exists() else None)


def install_chromium() -> None:
    """Install Debian's package, which needs root and a mirror; failing is no error."""
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        for command in ("update", "install -y --no-install-recommends chromium fonts-dejavu-core"):
            subprocess.run(  # noqa: S603 - no text of others
                [apt, "-q", *command.split()],
                check=False,
                stdout=sys.stderr,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )


def main() -> int:
    """Print the path, or what to do, and return the exit code."""
    if not find_chromium() and "--install" in sys.argv[1:]:
        install_chromium()
    found = find_chromium()
    if found:
        sys.stdout.write(f"{found}\n")
        return 0
    sys.stderr.write(
        "There is no Chromium, so nobody looked at the dashboard in a browser. Install it "
        "(Debian: apt-get install chromium), or name one: CHROMIUM=/path/to/chrome make browser\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
