"""The garbage collector of a long-lived process."""

import gc

_YOUNG = 20_000  # new containers before a look at the young ones; Python's default is 700


def settle() -> None:
    """Call once when a process is put together: what exists now stays.

    The collector need not walk through modules and routes again and again, nor look at every
    few requests: by the defaults it took a quarter of what the API does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
