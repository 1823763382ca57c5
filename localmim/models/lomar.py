"""Local masked reconstruction within small windows."""

import torch
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import send

from .mim import MaskedImageModel


def draw_places(batch: int, places: tuple[int, int], count: int) -> Tensor:
    """Draw distinct places for the windows of each image, uniformly, on the CPU.

    Args:
        batch: B.
        places: rows and columns of possible places.
        count: windows of an image.

    Returns:
        (B, count, 2) long, row and column of each place.
    """
    rows, cols = places
    chosen = torch.rand(batch, rows * cols).argsort(dim=1)[:, :count]
    return torch.stack([chosen // cols, chosen % cols], dim=-1)


def crop_windows(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """Crop square windows.

    Args:
        images: (B, C, H, W).
        corners: (B, n, 2) long, row and column of the upper left pixel of each window.
        size: side of a window in pixels.

    Returns:
        (B * n, C, size, size): the windows of the first image, then those of the next.
    """
    pixels = corners[..., None] + torch.arange(size, device=corners.device)
    image = torch.arange(len(images), device=corners.device)[:, None, None, None]
    rows, cols = pixels[:, :, 0, :, None], pixels[:, :, 1, None, :]
    windows = images.permute(0, 2, 3, 1)[image, rows, cols]  # (B, n, size, size, C)
    return windows.flatten(0, 1).permute(0, 3, 1, 2)


@MODELS.register_module()
class LoMaR(MaskedImageModel):
    """Local masked reconstruction (Chen et al. 2022).

    Each image gives ``num_windows`` square windows at random places of the grid of patches, which
    are masked, encoded and reconstructed by themselves. As patches do not overlap and positions
    are relative, a window is a crop, and encoder, decoder, targets and loss know nothing of it.
    Every image gets all its windows, at distinct places. (In the release windows and images are
    paired wrongly where the batch is a multiple of their number, and one image then sees one place
    several times.)

    Args:
        window_size: side of a window in patches.
        num_windows: windows of an image, n.
        **parts: as in :class:`MaskedImageModel`; the mask generator's cells are the backbone's.
    """

    def __init__(self, window_size: int = 7, num_windows: int = 4, **parts) -> None:
        super().__init__(**parts)
        for name, value in (("window_size", window_size), ("num_windows", num_windows)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value}")
        cell, patch = self.mask_generator.cell_size, self.backbone.cell_size
        if cell != patch:
            raise ValueError(
                f"cell_size of the mask generator, {cell}, must be the backbone's, {patch}: LoMaR "
                "hides single patches of its windows; leave it out"
            )
        self.window_size = window_size
        self.num_windows = num_windows

    def views(self, images: Tensor) -> Tensor:
        """Crop windows at random places.

        Args:
            images: (B, C, H, W), H and W multiples of a patch.

        Returns:
            (B * n, C, s, s), s = window_size patches; the windows of the first image come first.

        Raises:
            ValueError: the images do not divide into patches, or have too few places for n
                different windows.
        """
        grid = self.mask_generator.grid(*images.shape[2:])
        rows, cols = (max(cells - self.window_size + 1, 0) for cells in grid)
        if rows * cols < self.num_windows:
            raise ValueError(
                f"images of {grid[0]}x{grid[1]} patches have {rows * cols} places for windows of "
                f"{self.window_size}x{self.window_size}, fewer than num_windows "
                f"{self.num_windows}: take larger images, smaller windows or fewer of them"
            )
        corners = draw_places(len(images), (rows, cols), self.num_windows)
        corners = send(corners * self.mask_generator.cell_size, images.device)
        return crop_windows(images, corners, self.window_size * self.mask_generator.cell_size)
