"""A SparseSwin with the windows of LocalMIM's released code."""

from mmpretrain.registry import MODELS

from localmim.masking import PatchMask
from localmim.models.layers import TokenPlaces

from .sparse_swin import SparseSwin


@MODELS.register_module()
class ReleasedSwin(SparseSwin):
    """A SparseSwin that places tokens in windows as the code of Wang et al. (2023) does.

    From the second stage on, that code counts tokens cell by cell but reads the number as one that
    counts row by row, so that tokens share windows and position biases with others than their
    neighbours, also with nothing hidden. Without a mask it is the parent. For the figures of that
    code and for checkpoints that were pre-trained with it. Its arguments are those of SparseSwin.
    """

    def _places(self, number: int, mask: PatchMask, side: int) -> TokenPlaces:
        places = super()._places(number, mask, side)
        return places if number == 0 else _misread(places, mask.grid[1], side)


def _misread(places: TokenPlaces, cells: int, side: int) -> TokenPlaces:
    """Where tokens lie if their number, cell by cell, is read as one row by row.

    Args:
        places: of the tokens.
        cells: number of cells in a row of the image.
        side: tokens along a side of a cell.
    """
    row, col, width = places.row, places.col, cells * side
    cell = row // side * cells + col // side
    number = (cell * side + row % side) * side + col % side
    return TokenPlaces(places.image, number // width, number % width)
