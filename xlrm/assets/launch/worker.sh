
# bash worker.sh install   Python, xlrm, the bucket below /gcs
# bash worker.sh start     the job, unless it is running; survives the connection
# bash worker.sh follow    prints its log until it ends
# bash worker.sh stop      SIGTERM: it saves and leaves
set -euo pipefail
cd ~/xlrm_job

install_gcsfuse() {
  local key=/usr/share/keyrings/cloud.google.asc
  curl -fsS https://packages.cloud.google.com/apt/doc/apt-key.gpg |
    sudo tee "$key" >/dev/null
  echo "deb [signed-by=$key] https://packages.cloud.google.com/apt" \
    "gcsfuse-$(lsb_release -c -s) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
  sudo apt-get update -qq
  sudo apt-get install -y -qq gcsfuse
}

mount_bucket() { # no metadata is cached: workers see each other's files
  command -v gcsfuse >/dev/null || install_gcsfuse
  mountpoint -q "/gcs/$BUCKET" && return
  sudo mkdir -p "/gcs/$BUCKET"
  sudo chown "$(id -u):$(id -g)" "/gcs/$BUCKET"
  gcsfuse --implicit-dirs --rename-dir-limit=200000 \
    --metadata-cache-ttl-secs=0 --metadata-cache-negative-ttl-secs=0 \
    "$BUCKET" "/gcs/$BUCKET"
}

check_bucket() {
  local probe
  probe="$MODEL_DIR/launch/written_by_$(hostname)"
  if mkdir -p "$MODEL_DIR/launch" && touch "$probe" && rm "$probe"; then
    return
  fi
  echo "$(hostname) cannot write to gs://$BUCKET: give the TPU's service" \
    "account the role Storage Object User of this bucket" >&2
  return 1
}

install_packages() {
  command -v uv >/dev/null || python3 -m pip install --user --quiet uv
  [[ -d .venv ]] || uv venv --quiet --python=3.11 .venv
  uv pip install --quiet --python=.venv/bin/python "${PACKAGES[@]}"
}

running() {
  [[ -f pid ]] && kill -0 "$(cat pid)" 2>/dev/null
}

start() {
  running && return
  rm -f exit_code
  setsid nohup bash worker.sh run </dev/null >/dev/null 2>&1 &
  echo $! >pid
}

run() {
  local code=0
  trap : TERM # meant for the job; this shell notes how the job ended
  env "${ENVIRONMENT[@]}" .venv/bin/xlrm "${COMMAND[@]}" \
    >>log.txt 2>&1 || code=$?
  echo "$code" >exit_code
}

PATH=$HOME/.local/bin:$PATH
case ${1:-} in
  install)
    running && exit
    mount_bucket
    check_bucket
    install_packages
    ;;
  start) start ;;
  run) run ;;
  follow) tail -n +1 -F --pid="$(cat pid)" log.txt ;;
  stop) running && kill -TERM -- "-$(cat pid)" ;;
  *)
    echo "worker.sh: no command '${1:-}'" >&2
    exit 2
    ;;
esac
exit # bash reads no further, should this file be replaced meanwhile
