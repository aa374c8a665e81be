"""Run the command line by ``python -m toolops_plugins.cli``."""

import sys

from toolops_plugins.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
