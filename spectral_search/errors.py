"""The one exception that means: the request was wrong, and here is what to do."""


class RequestError(Exception):
    """A fault in what the user asked for or pointed at.

    Args:
        faults: One plain sentence per fault, each saying what was found and what to do.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults: tuple[str, ...] = faults
