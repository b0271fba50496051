
# srun starts one process per task; --kill-on-bad-exit: one that fails ends the
# others. Slurm gives each SIGTERM before it preempts the job, and near the time
# limit it wakes this shell, which does the same. A job that says that it has
# saved (75, EX_TEMPFAIL) is queued again, unless Slurm is ending this shell,
# too: it was cancelled, or Slurm queues it again itself (--requeue).
set -u
export PYTHONUNBUFFERED=1
if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi
ending=no
trap 'ending=yes' TERM
trap 'scancel --signal=TERM "$SLURM_JOB_ID"' USR1

srun --kill-on-bad-exit=1 --label \
  "$PYTHON" -m xlrm.launch.main "${COMMAND[@]}" &
step=$!
while true; do # a signal ends `wait`, not the step
  wait "$step"
  code=$?
  kill -0 "$step" 2>/dev/null || break
done
wait "$step" # its status, had the last signal come as it ended
code=$?
if [[ $code -eq 75 && $ending == no ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
