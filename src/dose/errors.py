"""The one error that is meant for a person.

Everything a user can get wrong (a bad file, a typo in params.yaml, a missing stage output) raises
`DoseError` or a subclass. Its text is one sentence that names the thing and says what to do. The command
line prints it and exits with 1; the service answers 4xx with it. Any other exception is a bug.
"""


class DoseError(Exception):
    """A mistake that the user can mend; the message is one full sentence for them."""


class AudioError(DoseError):
    """A sound that cannot be used: unreadable, empty, silent where sound is needed, not finite."""


class ConfigError(DoseError):
    """A params section that does not fit its dataclass."""


class IntegrityError(DoseError):
    """A file that is not the one its manifest or hash promises."""


class MissingInputError(DoseError):
    """An input that some earlier step, download or user should have put in place."""
