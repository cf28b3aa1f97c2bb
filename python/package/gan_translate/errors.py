"""What calls raise. Every exception is an :class:`Error`, and one of Python's own where there is one that fits."""


class Error(Exception):
    """Something went wrong: the message names the file or argument, the reason and what helps."""


class InvalidInput(Error, ValueError):
    """An argument, an image or the content of a file cannot be used."""


class NotFound(Error, FileNotFoundError):
    """There is no such file, run or checkpoint."""


class TooLittleMemory(Error, MemoryError):
    """An image needs more memory than there is, or than ``max_memory`` allows."""
