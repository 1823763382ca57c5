"""The tables of all kinds of checkpoints, in the order in which a file is compared with them."""

from ..rules import Table
from . import convnext, resnet, swin, vit

_BY_FAMILY = (*vit.TABLES, *swin.TABLES, *resnet.TABLES, *convnext.TABLES)
# A file that several kinds can read is taken for the first of them.
DIALECTS = (
    "mmpretrain",
    "timm",
    "transformers",
    "mmseg",
    "mmseg-mae",
    "mmseg-beit",
    "mmdet",
    "mae",
    "lomar",
    "a2mim",
    "localmim-release",
    "localmim-finetuned",
    "localmim",
)
TABLES: tuple[Table, ...] = tuple(sorted(_BY_FAMILY, key=lambda t: DIALECTS.index(t.dialect)))
MERGE_ORDERS = ("row", "column")


def tables_of(dialect: str, merge_order: str | None = None) -> list[Table]:
    """The tables of one kind of checkpoint.

    Args:
        dialect: one of :data:`DIALECTS`.
        merge_order: of LocalMIM's released Swin, instead of the one it was trained in.
    """
    found = [table for table in TABLES if table.dialect == dialect]
    if not found:
        raise ValueError(f"{dialect!r} is no kind of checkpoint; there are {', '.join(DIALECTS)}")
    if merge_order is None:
        return found
    if dialect != "localmim-release" or merge_order not in MERGE_ORDERS:
        raise ValueError(
            f"merge_order {merge_order!r} is a choice ({', '.join(MERGE_ORDERS)}) for the Swins of "
            f"localmim-release, not for {dialect}"
        )
    return [swin.release_table(merge_order)]
