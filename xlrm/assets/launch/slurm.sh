
# srun starts one process per task. --kill-on-bad-exit: one that fails ends the
# others. Slurm gives each of them SIGTERM when it preempts the job and queues it
# again (--requeue). Near the time limit it wakes this shell, which does the same;
# a job that is cancelled is not queued again.
set -u
export PYTHONUNBUFFERED=1
if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi
near_limit=no
trap 'near_limit=yes; scancel --signal=TERM "$SLURM_JOB_ID"' USR1

srun --kill-on-bad-exit=1 --label \
  "$PYTHON" -m xlrm.launch.main run --gin_file="$CONFIG" &
step=$!
wait "$step"
code=$?
if [[ $near_limit == yes ]]; then # that was the signal's status
  wait "$step"
  code=$?
  if [[ $code -ne 0 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
  fi
fi
exit "$code"
