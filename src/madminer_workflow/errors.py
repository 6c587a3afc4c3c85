"""The two ways a command can fail; everything else is a bug and shows a traceback."""


class InputError(Exception):
    """The user's input is wrong: the command ends with exit code 2 and this message."""


class StepError(Exception):
    """A step could not do its work: the command ends with exit code 1 and this message."""
