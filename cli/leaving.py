"""How a process ends that may have spoken to Temporal."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def leave_after(main: Callable[[], object]) -> NoReturn:
    """Run to the end, and leave without taking the interpreter apart.

    The native threads of Temporal's SDK report to the interpreter, and cannot know that it is
    ending: one that comes back to an interpreter that is being taken apart aborts the process,
    whose exit code is then SIGABRT's. A short command on a busy machine ends so one time in ten.
    Everything of ours is closed by now, so there is nothing to take apart.

    Args:
        main: what to run. Its exit code is that of the `SystemExit` which it raises; or 0 where
            it returns, and 1 after any other exception, which is shown.
    """
    code: object = None
    try:
        main()
    except SystemExit as ending:
        code = ending.code
    except BaseException:  # noqa: BLE001 -- as the interpreter would at its end
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()
    os._exit(code or 0)
