"""Imports that the garbage collector does not look through."""

import gc
import weakref

import pytest

from localmim.collecting import imports_kept


@pytest.fixture(autouse=True)
def _thawed():
    """Other tests' objects are not kept for good."""
    yield
    gc.unfreeze()


class Ring:
    def __init__(self):
        self.itself = self


def test_what_came_within_is_not_looked_at_and_garbage_of_before_is_gone():
    before = weakref.ref(Ring())
    with imports_kept():
        assert before() is None and not gc.isenabled()
        with imports_kept():
            inner = weakref.ref(Ring())
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > 0
    gc.collect()
    assert inner() is not None
    after = weakref.ref(Ring())
    gc.collect()
    assert after() is None


def test_a_failed_import_leaves_the_collector_on():
    with pytest.raises(ImportError, match="no such"), imports_kept():
        raise ImportError("no such package")
    assert gc.isenabled()
