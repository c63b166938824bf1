"""`python -m midas_dfer.cli` is `midas`."""

import sys

from midas_dfer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
