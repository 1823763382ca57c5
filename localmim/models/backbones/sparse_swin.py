"""A Swin Transformer that computes on visible tokens only."""

import warnings
from collections.abc import Sequence

from mmpretrain.models.backbones import SwinTransformer
from mmpretrain.models.backbones.swin_transformer import SwinBlock
from mmpretrain.registry import MODELS
from torch import Tensor

from localmim.masking import PatchMask, nearest_multiples
from localmim.models.layers import (
    SparseSwinBlock,
    TokenPlaces,
    WindowGroups,
    cell_in_pixels,
    embed_visible,
    give_forms,
    group_windows,
    init_linear_and_norm,
    init_patch_embed,
    merge_in_cells,
    swin_taps,
    token_places,
)

_WITHOUT_FORM = (
    "stage_cfgs",
    "patch_cfg",
    "norm_cfg",
    "pad_small_map",
    "use_abs_pos_embed",
    "with_cp",
)


@MODELS.register_module()
class SparseSwin(SwinTransformer):
    """mmpretrain's SwinTransformer with a masked forward.

    Without a mask it *is* the parent, under the parent's parameter names, so its weights load into
    a plain ``SwinTransformer``. With a mask only visible tokens are embedded, attend to each other
    and are merged (Huang et al. 2022; Wang et al. 2023, section 3). Two visible tokens attend to
    each other where the parent lets them: in one window of the dense grid, shifted in every second
    block. Merging stays inside cells, in the parent's order of weights (that of ``nn.Unfold``).

    A stage whose shorter side at ``img_size`` is less than ``window_size`` takes that side as its
    window. Where a window does not divide a stage, the windows at the border are cut; the parent
    pads there with zeros that take part in its attention, so its features differ. Building such a
    model warns and names windows that divide.

    Args:
        arch: as in the parent.
        img_size: int or (height, width) in pixels, for which the windows of the stages are set.
            Images may have other sizes, multiples of the last stride.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        window_size: tokens along a side of a window.
        drop_path_rate: stochastic depth; none in pre-training.
        out_indices: the taps, 0-based stages whose output is returned after a norm of its own
            (``norm0``, ``norm1``, ...), in ascending order.
        out_after_downsample: tap stages after the patch merging that follows them, at strides 8,
            16, 32 and 32, as LocalMIM does, rather than before it.
        norm_eps: of every layer norm. The default is the parent's; LocalMIM pre-trains with 1e-6.
        isolate_gradients: detach the input of every segment between taps, so that each tap trains
            its own segment only (gradient-isolated training, a table of Wang et al. 2023).
        **kwargs: the parent's other arguments, except ``stage_cfgs``, ``patch_cfg``, ``norm_cfg``,
            ``pad_small_map``, ``use_abs_pos_embed`` and ``with_cp`` (``activation_checkpointing``
            of the config does that for any model).
    """

    def __init__(
        self,
        arch: str | dict = "tiny",
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_channels: int = 3,
        window_size: int = 7,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        out_after_downsample: bool = True,
        norm_eps: float = 1e-5,
        isolate_gradients: bool = False,
        **kwargs,
    ) -> None:
        for name in _WITHOUT_FORM:
            if kwargs.pop(name, False):
                raise ValueError(f"SparseSwin has no masked form of {name}: leave it out")
        num_stages = self._check_arch(arch)
        _check_taps(out_indices, num_stages)
        img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        windows = _stage_windows(_stage_sides(img_size, patch_size, num_stages), window_size)
        norm_cfg = dict(type="LN", eps=norm_eps)
        inner_norms = dict(
            block_cfgs=dict(norm_cfg=norm_cfg), downsample_cfg=dict(norm_cfg=norm_cfg)
        )
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            window_size=window_size,
            drop_path_rate=drop_path_rate,
            out_indices=tuple(out_indices),
            out_after_downsample=out_after_downsample,
            norm_cfg=norm_cfg,
            stage_cfgs=[dict(window_size=window, **inner_norms) for window in windows],
            patch_cfg=dict(norm_cfg=norm_cfg),
            **kwargs,
        )
        give_forms(self, {SwinBlock: SparseSwinBlock})
        self.img_size = img_size
        self.image_channels = in_channels
        self.patch_size = patch_size
        self.cell_size = patch_size * 2 ** (num_stages - 1)
        self.taps = swin_taps(self, patch_size)
        self.isolate_gradients = isolate_gradients

    @classmethod
    def _check_arch(cls, arch: str | dict) -> int:
        """The number of stages, if the architecture can be built."""
        settings = cls.arch_zoo.get(arch.lower()) if isinstance(arch, str) else arch
        if settings is None or set(settings) != {"embed_dims", "depths", "num_heads"}:
            raise ValueError(
                f"arch must be one of {', '.join(sorted(cls.arch_zoo))} or a dict of embed_dims, "
                f"depths and num_heads, got {arch}"
            )
        width, depths, heads = (settings[k] for k in ("embed_dims", "depths", "num_heads"))
        if len(depths) != len(heads) or any(width * 2**i % n for i, n in enumerate(heads)):
            raise ValueError(
                f"arch {arch}: depths and num_heads must have one value per stage, and the width "
                f"of each stage, {width} and then twice the one before, be a multiple of its heads"
            )
        return len(depths)

    def init_weights(self) -> None:
        """Initialise linear layers as MAE does and position biases as the parent, unless
        ``init_cfg`` says how."""
        super().init_weights()
        if not self.init_cfg:
            init_linear_and_norm(self)
            init_patch_embed(self.patch_embed)

    def forward(self, images: Tensor, mask: PatchMask | None = None) -> tuple[Tensor, ...]:
        """Encode images, or their visible cells.

        Args:
            images: (B, C, H, W).
            mask: on square cells whose side is a multiple of the last stride (32 pixels), or None
                for the parent's forward.

        Returns:
            With a mask one (B, K * s * s, C_t) tensor per tap, cell-major and normalised, where s
            is the tap's tokens along a side of a cell. Without one the parent's maps.

        Raises:
            ValueError: the mask does not fit the images or this Swin.
        """
        if mask is None:
            return super().forward(images)
        side = self._check_mask(images, mask)
        x = self.drop_after_pos(embed_visible(self.patch_embed, images, mask))
        taps = []
        for number, stage in enumerate(self.stages):
            x = self._run_blocks(number, x, mask, side)
            merging = stage.downsample
            if merging is not None and self.out_after_downsample:
                x, side = merge_in_cells(merging, x, side), side // 2
            if number in self.out_indices:
                taps.append(getattr(self, f"norm{number}")(x))
                if self.isolate_gradients:
                    x = x.detach()
            if merging is not None and not self.out_after_downsample:
                x, side = merge_in_cells(merging, x, side), side // 2
        return tuple(taps)

    def _check_mask(self, images: Tensor, mask: PatchMask) -> int:
        """Refuse masks that do not fit; patches along a side of a cell."""
        cell = cell_in_pixels(images, mask, self.cell_size)
        height, width = images.shape[2:]
        for number, stage in enumerate(self.stages):
            stride, window = self.patch_size * 2**number, stage.blocks[0].attn.window_size
            if min(height, width) < window * stride:
                raise ValueError(
                    f"images of {height}x{width} pixels are smaller than the window of stage "
                    f"{number}, {window} tokens of {stride} pixels; give images of at least "
                    f"{window * stride} pixels, or build with img_size=({height}, {width})"
                )
        return cell // self.patch_size

    def _places(self, number: int, mask: PatchMask, side: int) -> TokenPlaces:
        """Where the visible tokens of a stage lie, with ``side`` of them along a side of a cell."""
        return token_places(mask.on_cpu(), side)

    def _run_blocks(self, number: int, x: Tensor, mask: PatchMask, side: int) -> Tensor:
        """All blocks of a stage on visible tokens (B, K * side * side, C)."""
        places = self._places(number, mask, side)
        plans: dict[int, WindowGroups] = {}
        for block in self.stages[number].blocks:
            window, shift = block.attn.window_size, block.attn.shift_size
            if min(mask.grid) * side <= window:
                shift = 0  # as in the parent, also where only the shorter side is one window
            if shift not in plans:
                plans[shift] = group_windows(places, window, shift, x.device)
            x = block(x, plans[shift])
        return x


def _check_taps(out_indices: Sequence[int], num_stages: int) -> None:
    taps = list(out_indices)
    if not taps or taps != sorted(set(taps)) or taps[0] < 0 or taps[-1] >= num_stages:
        raise ValueError(
            f"out_indices {tuple(taps)} must be distinct, ascending stages from 0 to "
            f"{num_stages - 1}"
        )


def _stage_sides(
    img_size: tuple[int, int], patch_size: int, num_stages: int
) -> list[tuple[int, int]]:
    """Rows and columns of tokens in each stage."""
    height, width = img_size
    last_stride = patch_size * 2 ** (num_stages - 1)
    if height % last_stride or width % last_stride or not height or not width:
        near = nearest_multiples((height, width), last_stride)
        raise ValueError(
            f"img_size {height}x{width} must be a multiple of {last_stride} (patch_size "
            f"{patch_size}, {num_stages - 1} mergings): the nearest is {near[0]}x{near[1]}"
        )
    strides = [patch_size * 2**i for i in range(num_stages)]
    return [(height // stride, width // stride) for stride in strides]


def _stage_windows(sides: list[tuple[int, int]], window_size: int) -> list[int]:
    """The window of each stage: ``window_size``, or the shorter side of the stage if it is less."""
    if not isinstance(window_size, int) or window_size < 2:
        raise ValueError(f"window_size must be an integer of at least 2, got {window_size}")

    def divides(window: int) -> bool:
        return not any(n % min(window, *side) for side in sides for n in side)

    if not divides(window_size):
        fitting = [w for w in range(2, 2 * window_size + 1) if divides(w)]
        warnings.warn(
            f"window_size {window_size} does not divide all stages, "
            f"{', '.join(f'{h}x{w}' for h, w in sides)}: with a mask, windows are cut at the border"
            f" where the dense Swin pads. Windows that divide: {fitting or 'none'}",
            stacklevel=3,
        )
    return [min(window_size, *side) for side in sides]
