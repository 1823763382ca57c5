# What every config shares: the plug-in, the runner, logging and checkpoints.
default_scope = "mmpretrain"
custom_imports = dict(imports=["localmim"], allow_failed_imports=False)

# Scales the learning rate by the real total batch, never leaves half a checkpoint, and makes sure
# that pre-trained weights arrive.
runner_type = "LocalMIMRunner"

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=100),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)

# Masks and crops follow from (seed, epoch, rank): a resumed run goes on as if never stopped.
# Classes and labels of the data have to be the model's.
custom_hooks = [dict(type="EpochSeedHook"), dict(type="DataCheckHook")]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # A process that others have waited for this many seconds ends them: one that hangs, or whose
    # machine is gone. One that dies ends them at once. Longer than any pause of training, like
    # a validation of process 0 alone.
    dist_cfg=dict(backend="nccl", timeout=600),
)

vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="UniversalVisualizer", vis_backends=vis_backends)

log_level = "INFO"
load_from = None
resume = False
randomness = dict(seed=0, diff_rank_seed=True)
