
# bash tpu.sh          create, install, run, follow; again after preemption
# bash tpu.sh logs     follow worker 0, whatever else happens
# bash tpu.sh stop     let the job save and leave; the TPU stays
# bash tpu.sh delete   give the TPU back
# bash tpu.sh state    of the queued resource
#
# It may be ended with Ctrl-C and started again at any time, on any machine that
# has this folder: the job runs on without it, and it finds out how far things
# are. Only a preempted TPU waits for it.
set -euo pipefail
cd "$(dirname "$0")"
POLL_SECONDS=${POLL_SECONDS:-30}
MAX_FAILURES=5 # to install or to connect, in a row

tpus() { # tpus ACTION OPTIONS ...: of this queued resource
  local action=$1
  shift
  gcloud compute tpus queued-resources "$action" "$NAME" \
    --project="$PROJECT" --zone="$ZONE" "$@"
}

on_all() {
  tpus ssh --node=all --worker=all --batch-size=all --command="$1"
}

on_first() {
  tpus ssh --node=0 --worker=0 --command="$1"
}

copy() {
  gcloud compute tpus queued-resources scp "$@" "$NAME:xlrm_job/" \
    --project="$PROJECT" --zone="$ZONE" \
    --node=all --worker=all --batch-size=all
}

state() {
  local answer
  if answer=$(tpus describe --format='value(state.state)' 2>describe.err); then
    echo "$answer"
  elif grep -q NOT_FOUND describe.err; then
    echo ABSENT
  else
    cat describe.err >&2
    return 1
  fi
}

delete() {
  tpus delete --force --quiet
}

wait_until_active() {
  local now before=
  while true; do
    now=$(state) || now=UNREACHABLE
    if [[ $now != "$before" ]]; then
      echo "$(date +%H:%M:%S) $NAME is $now"
    fi
    before=$now
    case $now in
      ACTIVE) return ;;
      ABSENT) tpus create "${CREATE[@]}" ;;
      SUSPENDED) delete ;; # preempted: ask for another
      FAILED)
        tpus describe >&2
        echo "$NAME cannot be had; mend it, then: bash tpu.sh delete" >&2
        exit 1
        ;;
    esac
    sleep "$POLL_SECONDS"
  done
}

install_and_start() { # commands are chained: `set -e` rests inside an `if`
  on_all 'mkdir -p xlrm_job' &&
    copy "${WHEELS[@]}" "${GIN_FILES[@]}" worker.sh &&
    on_all 'bash xlrm_job/worker.sh install' &&
    on_all 'bash xlrm_job/worker.sh start'
}

run() {
  local failures=0 code
  state >/dev/null
  gcloud storage cp "${GIN_FILES[@]}" tpu.sh worker.sh "$MODEL_DIR/launch/" \
    --project="$PROJECT"
  while true; do
    wait_until_active
    code=unknown
    if install_and_start; then
      on_first 'bash xlrm_job/worker.sh follow' || true
      code=$(on_first 'cat xlrm_job/exit_code' 2>/dev/null) || code=unknown
    fi
    case $code in
      0)
        echo "done: $MODEL_DIR"
        delete
        return
        ;;
      75) # EX_TEMPFAIL: saved upon SIGTERM
        echo "saved upon a signal; starting again"
        failures=0
        ;;
      unknown)
        failures=$((failures + 1))
        if ((failures == MAX_FAILURES)); then
          echo "$failures failures in a row; the TPU is still there and" \
            "billed. To give it back: bash tpu.sh delete" >&2
          exit 1
        fi
        ;;
      *)
        echo "the job failed with exit status $code; the TPU is still there" \
          "and billed. To give it back: bash tpu.sh delete" >&2
        exit 1
        ;;
    esac
    sleep "$POLL_SECONDS"
  done
}

case ${1:-run} in
  run) run ;;
  logs) on_first 'bash xlrm_job/worker.sh follow' ;;
  stop) on_all 'bash xlrm_job/worker.sh stop' ;;
  delete) delete ;;
  state) state ;;
  *)
    echo "tpu.sh: no command '$1': logs, stop, delete, state or none" >&2
    exit 2
    ;;
esac
