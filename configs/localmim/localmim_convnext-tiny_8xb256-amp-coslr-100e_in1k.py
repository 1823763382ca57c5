# LocalMIM on a ConvNeXt-T: ours, not the paper's.
_base_ = "localmim_resnet50_8xb256-amp-coslr-100e_in1k.py"

model = dict(
    backbone=dict(_delete_=True, type="PackedConvNeXt", arch="tiny", out_indices=(0, 1, 2, 3))
)
