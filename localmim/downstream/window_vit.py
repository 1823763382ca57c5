"""A plain Vision Transformer for large images."""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor

from .window_attention import WindowAttention


@MODELS.register_module()
class WindowViT(VisionTransformer):
    """The backbone of Li et al., "Exploring Plain Vision Transformer Backbones for Object
    Detection" (2022): mmpretrain's VisionTransformer with attention in windows.

    Attention stays within windows that neither overlap nor shift, but in a few global blocks. Each
    block has decomposed relative positions (see :class:`WindowAttention`), which start at zero.
    There are no class token and no final norm, which the pyramid does not use. The other
    parameters have the parent's names, so that pre-trained weights load with ``init_cfg=dict(
    type="Pretrained", checkpoint=..., prefix="backbone.")``, without the class token's position.

    Args:
        arch: as in the parent.
        img_size: int or (height, width) in pixels of the images of pre-training, for which the
            absolute positions are laid out. They are interpolated (bicubic) to the grid of the
            images in each forward.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        input_size: int or (height, width) in pixels of the images that are expected, for which the
            relative positions of global blocks are laid out; others interpolate them.
        window_size: side of a window in tokens.
        global_blocks: 0-based numbers of the blocks that attend globally. The default are four, the
            last of each quarter.
        drop_path_rate: of the last block; it rises linearly from 0 at the first one.
        init_cfg: as in mmengine.

    Raises:
        ValueError: ``input_size`` is not a multiple of ``patch_size``, or ``global_blocks`` are not
            blocks of this ViT.
    """

    def __init__(
        self,
        arch: str | dict = "base",
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        input_size: int | tuple[int, int] = 1024,
        window_size: int = 14,
        global_blocks: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            final_norm=False,
            out_type="featmap",
            with_cls_token=False,
            init_cfg=init_cfg,
        )
        self.patch_size = patch_size
        sides = (input_size, input_size) if isinstance(input_size, int) else input_size
        grid = self._grid("input_size", sides)
        chosen = self._global_blocks(global_blocks)
        for number, layer in enumerate(self.layers):
            if number in chosen:
                layer.attn = WindowAttention(layer.attn, grid, window=None)
            else:
                layer.attn = WindowAttention(layer.attn, (window_size, window_size), window_size)

    def _grid(self, what: str, size: Sequence[int]) -> tuple[int, int]:
        """(rows, columns) of the patches of an image of ``size`` (height, width)."""
        if any(side % self.patch_size for side in size):
            raise ValueError(
                f"{what} is {size[0]}x{size[1]} pixels; both sides must be multiples of the patch "
                f"size {self.patch_size} (data_preprocessor.pad_size_divisor pads images)"
            )
        return size[0] // self.patch_size, size[1] // self.patch_size

    def _global_blocks(self, given: Sequence[int] | None) -> set[int]:
        depth = self.num_layers
        chosen = [depth * n // 4 - 1 for n in (1, 2, 3, 4)] if given is None else given
        if not all(0 <= number < depth for number in chosen):
            raise ValueError(
                f"global_blocks {tuple(chosen)} must be from 0 to {depth - 1} in a ViT with "
                f"{depth} blocks; the default needs at least 4 blocks"
            )
        return set(chosen)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Encode images.

        Args:
            images: (B, C, H, W), H and W any multiples of the patch size.

        Returns:
            The last block's map, (B, embed_dims, H / patch_size, W / patch_size), in a tuple.

        Raises:
            ValueError: H or W is not a multiple of the patch size.
        """
        grid = self._grid("the input", images.shape[2:])
        x, _ = self.patch_embed(images)
        positions = resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode, num_extra_tokens=0
        )
        x = (x + positions).unflatten(1, grid)
        for layer in self.layers:
            x = layer(x)
        return (x.permute(0, 3, 1, 2).contiguous(),)
