"""Configs are written as they come: yapf's laying out of them is a tenth of a short run."""

from yapf.yapflib import yapf_api


def leave_out():
    """Have yapf return what it is given, which is the same Python."""
    yapf_api.FormatCode = lambda text, **_: (text, False)
