"""What Python's garbage collector is spared.

The packages behind the parts make more than a million objects as they are imported, and none of
them goes before the process does. The collector would look through them again and again: while they
come, whenever a long training makes it look at everything, and at the exit.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_kept() -> Iterator[None]:
    """For imports within: nothing is looked for amid them, and what they made is kept for good.

    ``gc.freeze`` keeps whatever else there is as well; where torch has been imported before, that
    might be models and their memory, and nothing is kept.
    """
    if not gc.isenabled():  # within another
        yield
        return
    freeze = "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()
