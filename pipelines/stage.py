"""Error handling that all stage scripts share."""

import sys
from collections.abc import Callable

from dose.errors import DoseError


def run_stage(main: Callable[[], None]) -> None:
    """Runs `main`; a DoseError becomes one sentence and exit code 1."""
    try:
        main()
    except DoseError as e:
        sys.exit(f"{sys.argv[0].rsplit('/', 1)[-1].removesuffix('.py')}: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
