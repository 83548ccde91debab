"""Studies: small models side by side."""

import pipelines  # noqa: F401 - first of all: it makes this tree's dose the one that is imported
