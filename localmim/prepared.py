"""Importing this makes the installed stack ready, before anything imports mmpretrain.

Every package here that imports it begins with this one; ``import localmim`` alone imports nothing.
"""

from .collecting import imports_kept

with imports_kept():
    from .operators import provide_operators
    from .stack import check_stack, import_mmpretrain, installed_versions, leave_out_multimodal

    check_stack(installed_versions())
    provide_operators()
    leave_out_multimodal(installed_versions())
    import_mmpretrain()
