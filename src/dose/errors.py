"""Errors that a user can correct.

Everything a user can get wrong (a bad file, a typo in params.yaml, a missing stage output) raises
`DoseError` or a subclass. Its message is one sentence that names the cause and the remedy. The command line
prints it and exits with 1; the service returns it with a 4xx status. Any other exception is a bug.
"""


class DoseError(Exception):
    """An error that the user can correct; the message is one full sentence for them."""


class AudioError(DoseError):
    """A sound that cannot be used: unreadable, empty, silent where sound is needed, not finite."""


class ConfigError(DoseError):
    """A params section that does not fit its dataclass."""


class IntegrityError(DoseError):
    """A file that differs from its manifest or hash."""


class MissingInputError(DoseError):
    """An input that an earlier stage, a download or the user should have provided."""
