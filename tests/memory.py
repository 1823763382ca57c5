"""Memory of freed models goes back to the system, so that a process of the tests stays small."""

import ctypes
import gc
import sys

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def return_large_blocks():
    """Have glibc give blocks from 1 MB on back when they are freed (malloc.h: M_MMAP_THRESHOLD).

    Its own threshold grows to 32 MB with what is freed, and the heap with it.
    """
    if _LIBC:
        _LIBC.mallopt(-3, 1 << 20)


def keep_imports():
    """Have the collector pass over what is there now, see ``localmim.collecting``."""
    gc.freeze()


def give_memory_back():
    """Give back what is not used any more."""
    gc.collect()
    if _LIBC:
        _LIBC.malloc_trim(0)
