"""Waits that were over while the system was down: do it now, or is it too late?"""

from datetime import timedelta

from domain import wording


class TooLate(Exception):
    """A wait was over longer ago than its `at_most_late` allows: the system was down.

    Not caught, it ends the journey as `exited`.

    Args:
        what: the wait, in words.
        late: by how much.
    """

    def __init__(self, what: str, late: timedelta) -> None:
        super().__init__(f"{what}: over {wording.duration(late)} ago, too late to go on")
        self.what, self.late = what, late


def check_lateness(what: str, late: timedelta, at_most: timedelta | None) -> None:
    """Check that a wait that is over was not over too long ago.

    Raises:
        TooLate: it was.
    """
    if at_most is not None and late > at_most:
        raise TooLate(what, late)
