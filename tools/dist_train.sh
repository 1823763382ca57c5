#!/usr/bin/env bash
# Train on several GPUs of one or more machines.
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# MAX_RESTARTS (0): how often all processes start again after one has failed.
# SIGTERM, SIGUSR1, SIGHUP (as SIGTERM) and SIGINT go to the training processes, which are waited for;
# a second SIGINT kills them. The exit code is 0 if theirs all are. Needs Linux.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2

# torch's agent would make a failure of each signal. So it runs in a session of its own, out of reach
# of Ctrl-C. Each process goes with the one that started it, however that ended: without this script
# the agent is killed, and without the agent the training processes get SIGTERM.
setsid setpriv --pdeathsig KILL \
    python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    --max-restarts="${MAX_RESTARTS:-0}" \
    --no-python \
    setpriv --pdeathsig TERM \
    python -u "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}" &
agent=$!

# Send a signal to the training processes, or end the agent if there are none yet.
forward() {
    local processes
    read -ra processes < <(cat "/proc/$agent/task/"*/children 2>/dev/null) || true
    if [ ${#processes[@]} -gt 0 ]; then
        kill -"$1" "${processes[@]}" 2>/dev/null || true
    else
        kill -TERM "$agent" 2>/dev/null || true
    fi
}

interrupt() {
    trap 'forward KILL; kill -KILL "$agent" 2>/dev/null || true' INT
    forward INT
}

trap 'forward TERM' TERM HUP
trap 'forward USR1' USR1
trap interrupt INT

# A signal ends the wait, not the agent.
while kill -0 "$agent" 2>/dev/null; do
    wait "$agent" || true
done
wait "$agent"
