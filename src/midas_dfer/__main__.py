"""`python -m midas_dfer` is `midas`."""

import sys

from midas_dfer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
