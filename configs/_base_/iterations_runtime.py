# For schedules that count iterations.
_base_ = "default_runtime.py"

default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
