
# Submits the cells below, each to begin when those that it needs have succeeded,
# and to be cancelled when one of them has not; those with '?' only have to have
# ended. It may be run again at any time: what is queued or running is left as it
# is, and a job whose cell is complete ends at once. jobs.txt keeps the number of
# every job.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v sbatch >/dev/null; then
  echo "sbatch is not on this machine; where it is, run: bash $PWD/submit.sh" >&2
  exit 1
fi

declare -A alive=() job=() fresh=()
ids=() submitted=0
mine=$(squeue --me --noheader --format='%A %r')
while read -r id reason; do
  if [[ -n $id ]]; then
    alive[$id]=$reason # why it is pending
  fi
done <<<"$mine"
touch jobs.txt
while read -r id cell; do
  if [[ -n ${alive[$id]:-} ]]; then
    job[$cell]=$id
  fi
done <jobs.txt

is_alive() { # is_alive CELL NEEDED-CELL ...: or it waits for one that failed
  local id=${job[$1]:-} need
  [[ -n $id ]] || return
  shift
  [[ ${alive[$id]} != DependencyNeverSatisfied ]] || return
  if [[ ${alive[$id]} == Dependency ]]; then
    for need in "$@"; do
      [[ -z ${fresh[${need#\?}]:-} ]] || return
    done
  fi
}

finish() {
  echo "$submitted jobs submitted, $((${#ids[@]} - submitted)) were there"
  if ((${#ids[@]})); then
    echo "Then: squeue --me; the logs are $PWD/CELL-JOB.log"
    echo "To end them: scancel ${ids[*]}"
  fi
}

submit() { # submit SCRIPT CELL NEEDED-CELL ...
  local script=$1 cell=$2 log=${2//\//_} ok='' any='' after id need options
  shift 2
  if is_alive "$cell" "$@"; then
    echo "$cell: job ${job[$cell]} is queued or running"
    ids+=("${job[$cell]}")
    return
  fi
  if [[ -n ${job[$cell]:-} ]]; then
    scancel "${job[$cell]}"
  fi
  options=(--job-name="$STUDY-$cell" --output="$LOGS${log//%/%%}-%j.log")
  for need in "$@"; do
    case $need in
      \?*) any+=:${job[${need#\?}]} ;;
      *) ok+=:${job[$need]} ;;
    esac
  done
  after=${ok:+afterok$ok}${ok:+${any:+,}}${any:+afterany$any}
  if [[ -n $after ]]; then
    options+=(--dependency="$after" --kill-on-invalid-dep=yes)
  fi
  if ! id=$(sbatch --parsable "${options[@]}" "$script" "$cell"); then
    finish >&2
    echo "sbatch refused $cell, so the cells from there on are not submitted." \
      "Once that is mended: bash $PWD/submit.sh" >&2
    exit 1
  fi
  id=${id%%;*} # of ID;CLUSTER
  echo "$id $cell" >>jobs.txt
  job[$cell]=$id
  fresh[$cell]=yes
  ids+=("$id")
  submitted=$((submitted + 1))
  echo "$cell: job $id${after:+ $after}"
}
