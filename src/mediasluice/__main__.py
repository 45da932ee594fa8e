"""``python -m mediasluice`` is ``sluice``."""

import sys

from mediasluice.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
