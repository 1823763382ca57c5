# What every config shares: the plug-in, the runner, logging and checkpoints.
from importlib.util import find_spec

default_scope = "mmpretrain"
custom_imports = dict(imports=["localmim.parts"], allow_failed_imports=False)

# Scales the learning rate by the real total batch, resumes exactly at any iteration, never leaves
# half a checkpoint, and makes sure that pre-trained weights arrive.
runner_type = "LocalMIMRunner"

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=100),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # Beside the schedule's: recovery.pth every recovery_minutes, and when a signal ends the run.
    checkpoint=dict(
        type="DurableCheckpointHook", interval=1, max_keep_ckpts=3, recovery_minutes=15
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    # Images a second, the share of time that training waited for data, and on GPUs utilisation.
    throughput=dict(type="ThroughputHook"),
)

# Classes and labels of the data have to be the model's. Files of a folder that give no image are
# listed, and an error where they are more than a tenth. Steps whose loss or gradients are not
# finite are skipped, and end the training if they do not end.
custom_hooks = [
    dict(type="DataCheckHook"),
    dict(type="UnusableImagesHook", max_share=0.1),
    dict(type="FiniteStepsHook", max_skipped_in_a_row=10),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # A process that others have waited for this many seconds ends them: one that hangs, or whose
    # machine is gone. One that dies ends them at once. Longer than any pause of training, like
    # a validation of process 0 alone.
    dist_cfg=dict(backend="nccl", timeout=600),
)

# Curves and pictures: files of the work dir and, where it is installed, TensorBoard
# (tensorboard --logdir work_dirs).
vis_backends = [dict(type="LocalVisBackend")]
if find_spec("tensorboard"):
    vis_backends.append(dict(type="ContinuedTensorboardBackend"))
visualizer = dict(type="UniversalVisualizer", vis_backends=vis_backends)

log_level = "INFO"
load_from = None
resume = False
randomness = dict(seed=0, diff_rank_seed=True)
