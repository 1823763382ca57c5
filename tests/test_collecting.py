"""Imports that the garbage collector does not look through."""

import gc
import sys
import weakref

import pytest

from localmim.collecting import imports_kept


@pytest.fixture(autouse=True)
def _thawed():
    """What the tests made is not kept for good, what was imported before is."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Ring:
    def __init__(self):
        self.itself = self


def kept(rings):
    gc.collect()
    return [ring() is not None for ring in rings]


def test_what_came_within_is_not_looked_at(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    with imports_kept():
        assert not gc.isenabled()
        with imports_kept():
            ring = weakref.ref(Ring())
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > 0
    assert kept([ring, weakref.ref(Ring())]) == [True, False]


def test_models_that_may_be_there_are_not_kept():
    before = Ring()
    model = weakref.ref(before)
    with imports_kept():
        ring = weakref.ref(Ring())
        del before
    assert kept([model, ring]) == [False, False]


def test_a_failed_import_leaves_the_collector_on():
    with pytest.raises(ImportError, match="no such"), imports_kept():
        raise ImportError("no such package")
    assert gc.isenabled()
