"""What can go wrong: `VisionError`, and one class for each group of error numbers."""


class VisionError(Exception):
    """A failure. Programs read `code`, people read the message; the hint is a note below it."""

    code: str
    """The stable name, the same in every language: "IMAGE_CORRUPT" for example."""
    number: int
    """The stable number."""
    hint: str
    """What the caller can do about it, one sentence; empty where there is nothing to say."""
    retryable: bool
    """Whether the same call may succeed another time though nothing is changed."""
    retry_after: float | None
    """Seconds after which to try again, where that is known."""

    def __init__(
        self,
        message: str,
        code: str = "INTERNAL",
        number: int = 900,
        hint: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.number = number
        self.hint = hint
        self.retryable = retryable
        self.retry_after = retry_after
        if hint:
            self.add_note(hint)


class ArgumentError(VisionError, ValueError):
    """An argument cannot be taken. Numbers 100 to 199."""


class ImageError(VisionError):
    """A picture cannot be decoded, or costs too much. Numbers 200 to 299."""


class ModelError(VisionError):
    """A model cannot be loaded, or lacks what was asked of it. Numbers 300 to 399."""


class DeviceError(VisionError):
    """A device or its memory cannot be had. Numbers 400 to 499."""


class EngineError(VisionError):
    """A request was not answered: queue full, too late, cancelled, closed. Numbers 500 to 599."""


class InternalError(VisionError):
    """A defect in libvision itself. Numbers 900 to 999."""


class FileMissingError(ArgumentError, FileNotFoundError):
    """No file at a path."""


class FileUnreadableError(ArgumentError, OSError):
    """A file exists and cannot be read."""


_GROUPS = {
    1: ArgumentError,
    2: ImageError,
    3: ModelError,
    4: DeviceError,
    5: EngineError,
    9: InternalError,
}
_FILES = {"FILE_NOT_FOUND": FileMissingError, "FILE_UNREADABLE": FileUnreadableError}


def make(
    message: str,
    code: str,
    number: int,
    hint: str,
    retryable: bool = False,
    retry_after: float | None = None,
) -> VisionError:
    """The exception for an error of the core, which calls this."""
    made = _FILES.get(code) or _GROUPS.get(number // 100, VisionError)
    return made(message, code, number, hint, retryable, retry_after)
