"""Small models of other libraries, in float64 with random weights, and what they compute.

Every model of a family has the same architecture, so that the features of any two can be compared
where the weights of one were converted for the other.
"""

import timm
import torch
import transformers
from mmdet.models.backbones import ResNet as DetResNet
from mmdet.models.backbones import SwinTransformer as DetSwin
from mmpretrain.models.backbones import (
    BEiTViT,
    ConvNeXt,
    ResNet,
    SwinTransformer,
    VisionTransformer,
)
from mmseg.models.backbones import MAE as SegMAE
from mmseg.models.backbones import BEiT as SegBEiT
from mmseg.models.backbones import SwinTransformer as SegSwin
from mmseg.models.backbones import VisionTransformer as SegViT
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from timm.models.swin_transformer import SwinTransformer as TimmSwin
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor, nn

from localmim.models import SparseSwin, SparseViT

SIZES = {"vit": (48, 48), "swin": (128, 128), "resnet": (64, 64), "convnext": (64, 64)}
_LN = dict(type="LN", eps=1e-6)
_VIT_ARCH = dict(embed_dims=32, num_layers=7, num_heads=4, feedforward_channels=64)
_SWIN_ARCH = dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8])


def _mm_vit(kind: type, **kwargs) -> nn.Module:
    return kind(
        arch=_VIT_ARCH, img_size=SIZES["vit"], out_type="featmap", out_indices=[-1], **kwargs
    )


def _mm_beit() -> nn.Module:
    return _mm_vit(
        BEiTViT, final_norm=True, norm_cfg=_LN, use_abs_pos_emb=True, layer_scale_init_value=0.1
    )


def _seg_vit(kind: type, **kwargs) -> nn.Module:
    return kind(
        img_size=SIZES["vit"],
        embed_dims=32,
        num_layers=7,
        num_heads=4,
        mlp_ratio=2,
        norm_cfg=_LN,
        final_norm=True,
        **kwargs,
    )


def _timm_vit() -> nn.Module:
    return TimmViT(
        img_size=SIZES["vit"], embed_dim=32, depth=7, num_heads=4, mlp_ratio=2, num_classes=0
    )


def _hf_vit(config: type, model: type, **kwargs) -> nn.Module:
    settings = config(
        image_size=SIZES["vit"],
        hidden_size=32,
        num_hidden_layers=7,
        num_attention_heads=4,
        intermediate_size=64,
        layer_norm_eps=1e-6,
        attn_implementation="sdpa",
        mask_ratio=0.0,
    )
    return model(settings, **kwargs)


def _timm_swin() -> nn.Module:
    return TimmSwin(
        img_size=SIZES["swin"],
        embed_dim=16,
        depths=(2, 2, 2, 2),
        num_heads=(1, 2, 4, 8),
        window_size=2,
        num_classes=0,
    )


def _hf_swin() -> nn.Module:
    config = transformers.SwinConfig(
        image_size=SIZES["swin"],
        embed_dim=16,
        depths=[2, 2, 2, 2],
        num_heads=[1, 2, 4, 8],
        window_size=2,
    )
    return transformers.SwinModel(config, add_pooling_layer=False)


def _downstream_swin(kind: type) -> nn.Module:
    return kind(
        pretrain_img_size=128,
        embed_dims=16,
        depths=[2, 2, 2, 2],
        num_heads=[1, 2, 4, 8],
        window_size=2,
        out_indices=(3,),
    )


# (dialect, model) -> how it is built.
VITS = {
    ("localmim", "SparseViT"): lambda: _mm_vit(SparseViT),
    ("mmpretrain", "VisionTransformer"): lambda: _mm_vit(VisionTransformer),
    ("mmseg", "VisionTransformer"): lambda: _seg_vit(SegViT, patch_bias=True),
    ("timm", "VisionTransformer"): _timm_vit,
    ("mae", "encoder"): _timm_vit,  # whose names are those of MAE's code
    ("transformers", "ViTModel"): lambda: _hf_vit(
        transformers.ViTConfig, transformers.ViTModel, add_pooling_layer=False
    ),
    ("transformers", "ViTMAEModel"): lambda: _hf_vit(
        transformers.ViTMAEConfig, transformers.ViTMAEModel
    ),
}
# With relative position bias and layer scale; with absolute positions but for mmseg's BEiT.
BEITS = {
    ("mmpretrain", "BEiTViT"): _mm_beit,
    ("mmseg-mae", "MAE"): lambda: _seg_vit(SegMAE, init_values=0.1),
    ("a2mim", "BEiTViT"): _mm_beit,
    ("localmim", "BEiTViT"): _mm_beit,
}
BEITS_WITHOUT_POSITIONS = {
    ("mmpretrain", "BEiTViT"): lambda: _mm_vit(BEiTViT, final_norm=True, norm_cfg=_LN),
    ("mmseg-beit", "BEiT"): lambda: _seg_vit(SegBEiT, init_values=0.1, qv_bias=True),
}
SWINS = {
    ("localmim", "SparseSwin"): lambda: SparseSwin(
        arch=_SWIN_ARCH,
        img_size=SIZES["swin"],
        window_size=2,
        out_indices=(3,),
        out_after_downsample=False,
    ),
    ("mmpretrain", "SwinTransformer"): lambda: SwinTransformer(
        arch=_SWIN_ARCH, img_size=SIZES["swin"], window_size=2
    ),
    ("mmseg", "SwinTransformer"): lambda: _downstream_swin(SegSwin),
    ("mmdet", "SwinTransformer"): lambda: _downstream_swin(DetSwin),
    ("timm", "SwinTransformer"): _timm_swin,
    ("transformers", "SwinModel"): _hf_swin,
}
RESNETS = {
    ("mmpretrain", "ResNet"): lambda: ResNet(50),
    ("mmdet", "ResNet"): lambda: DetResNet(50, out_indices=(3,), norm_eval=False),
    ("timm", "ResNet"): lambda: timm.create_model("resnet50", num_classes=0),
    ("a2mim", "ResNet"): lambda: ResNet(50),
    ("localmim", "ResNet"): lambda: ResNet(50),
}


def _convnexts(settings: dict, timm_settings: dict) -> dict:
    """(dialect, model) -> how it is built, with settings of mmpretrain and those of timm."""
    arch = dict(depths=[1, 1, 2, 1], channels=[8, 16, 32, 64])

    def mm_convnext() -> nn.Module:
        return ConvNeXt(arch, gap_before_final_norm=False, **settings)

    def timm_convnext() -> nn.Module:
        sizes = dict(depths=arch["depths"], dims=arch["channels"])
        return TimmConvNeXt(num_classes=0, **sizes, **timm_settings)

    made = {(dialect, "ConvNeXt"): mm_convnext for dialect in ("mmpretrain", "a2mim", "localmim")}
    return made | {("timm", "ConvNeXt"): timm_convnext}


CONVNEXTS = _convnexts({}, {})
CONVNEXTS_V2 = _convnexts(
    dict(use_grn=True, layer_scale_init_value=0.0), dict(use_grn=True, ls_init_value=None)
)
CONVNEXTS_OF_CONVS = _convnexts(dict(linear_pw_conv=False), dict(conv_mlp=True))


@torch.no_grad()
def build(make, seed: int = 0) -> nn.Module:
    """A model in float64 and evaluation mode, every parameter and statistic of its own value."""
    torch.manual_seed(seed)
    model = make().double()
    for name, tensor in _numbers(model):
        # Drawn in single precision: in double it takes most of the time of small tests.
        noise = torch.rand(tensor.shape).sub_(0.5).mul_(min(1.0, 3.5 * tensor[:1].numel() ** -0.5))
        tensor.add_(noise)
        if name.endswith("running_var"):
            tensor.copy_(1 + noise.abs())
    model.eval()  # which returns nothing of some libraries' models
    return model


@torch.no_grad()
def blank(make) -> nn.Module:
    """A model in float64 and evaluation mode without any number: weights are to come."""
    model = make().double()
    for _, tensor in _numbers(model):
        tensor.fill_(torch.nan)
    model.eval()
    return model


def _numbers(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [(n, x) for n, x in model.state_dict().items() if x.is_floating_point()]


@torch.no_grad()
def features(model: nn.Module, images: Tensor) -> Tensor:
    """The last feature map after the final norm, (B, C, h, w)."""
    if isinstance(model, timm.models.VisionTransformer):
        return _as_map(model.forward_features(images)[:, 1:], images, 16)
    if isinstance(model, TimmSwin):
        return model.forward_features(images).permute(0, 3, 1, 2)
    if isinstance(model, transformers.ViTMAEModel):
        count = images.shape[2] * images.shape[3] // 256
        in_order = torch.arange(count).double().expand(len(images), -1)
        return _as_map(model(images, noise=in_order).last_hidden_state[:, 1:], images, 16)
    if isinstance(model, transformers.ViTModel):
        return _as_map(model(images).last_hidden_state[:, 1:], images, 16)
    if isinstance(model, transformers.SwinModel):
        return _as_map(model(images).last_hidden_state, images, 32)
    if isinstance(model, timm.models.ResNet):
        return model.forward_features(images)
    if isinstance(model, TimmConvNeXt):
        return model.head.norm(model.forward_features(images))
    return model(images)[-1]


def _as_map(tokens: Tensor, images: Tensor, stride: int) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, tuple(n // stride for n in images.shape[2:]))


def _hf_vit_base() -> nn.Module:
    config = transformers.ViTConfig(layer_norm_eps=1e-6, attn_implementation="sdpa")
    return transformers.ViTModel(config, add_pooling_layer=False)


def _hf_swin_base() -> nn.Module:
    config = transformers.SwinConfig(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32])
    return transformers.SwinModel(config, add_pooling_layer=False)


FULL_SIZE = {
    "vit": {
        "localmim": lambda: SparseViT("base", out_indices=(-1,), out_type="featmap"),
        "timm": lambda: timm.create_model("vit_base_patch16_224", num_classes=0),
        "transformers": _hf_vit_base,
    },
    "swin": {
        "localmim": lambda: SparseSwin("base", out_indices=(3,), out_after_downsample=False),
        "timm": lambda: timm.create_model("swin_base_patch4_window7_224", num_classes=0),
        "transformers": _hf_swin_base,
    },
}
