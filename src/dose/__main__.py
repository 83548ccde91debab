"""`python -m dose`: the same as the command `dose`."""

import sys

from dose.cli import main

sys.exit(main())
