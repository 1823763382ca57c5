#!/usr/bin/env bash
# Train through Slurm, in a batch job that starts again by itself until training is done.
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# It returns at once; the output is in WORK_DIR/slurm-JOBID.out. SBATCH_ARGS=--wait waits for the job.
# Environment: GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (8); SBATCH_ARGS and SRUN_ARGS, further
# options of sbatch and srun, e.g. SBATCH_ARGS="--time=12:00:00 --mem=64G";
# GRACE (120), how many seconds before the time limit training saves and the job is requeued.
set -euo pipefail

if [ $# -lt 4 ]; then
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
fi
TOOLS=$(cd "$(dirname "$0")" && pwd)
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

# SBATCH_ARGS and SRUN_ARGS are split into words on purpose.
# shellcheck disable=SC2086
submit() {
    mkdir -p "$4"
    # Slurm runs a copy of its script, from which this folder could not be found.
    exec sbatch --partition="$1" \
        --job-name="$2" \
        --gres="gpu:$GPUS_PER_NODE" \
        --ntasks="${GPUS:-8}" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="${CPUS_PER_TASK:-8}" \
        --requeue \
        --open-mode=append \
        --output="$4/slurm-%j.out" \
        --signal="B:USR1@${GRACE:-120}" \
        ${SBATCH_ARGS:-} <<SCRIPT
#!/usr/bin/env bash
export IN_BATCH_JOB=1 SRUN_ARGS=$(printf '%q' "${SRUN_ARGS:-}")
exec bash $(printf '%q ' "$TOOLS/slurm_train.sh" "$@")
SCRIPT
}

# shellcheck disable=SC2086
train() {
    exec srun --kill-on-bad-exit=1 \
        --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        ${SRUN_ARGS:-} \
        python -u "$TOOLS/train.py" "$3" --work-dir="$4" --launcher=slurm "${@:5}"
}

[ -n "${IN_BATCH_JOB:-}" ] || submit "$@"

train "$@" &
step=$!
# srun hands the signal on to the training processes, which save and exit.
requeue=no
trap 'requeue=yes; kill -USR1 "$step" 2>/dev/null || true' USR1
# Slurm sends SIGTERM (scancel, preemption) to the training processes as well.
trap : TERM

# A signal ends the wait, not the step.
while kill -0 "$step" 2>/dev/null; do
    wait "$step" || true
done
wait "$step"
if [ "$requeue" = yes ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
