"""A Cloud TPU: what is refused, its scripts, and its whole story against
stand-ins for gcloud and for what is on its workers.
"""

import os
import pathlib
import subprocess

import launching
import pytest

from xlrm.launch.targets import launch_tpu

BUCKET = "gs://my-bucket/rm_en"
TPU = ("--accelerator_type=v4-32", "--project=my-p", "--zone=us-central2-b")


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> str:
  monkeypatch.chdir(tmp_path)
  (tmp_path / "dist").mkdir()
  (tmp_path / "dist/xlrm-0.1.0-py3-none-any.whl").touch()
  return "--wheel=dist/xlrm-0.1.0-py3-none-any.whl"


@pytest.mark.parametrize("hostile", [False, True])
def test_tpu_scripts_pass_shellcheck(wheel, tmp_path, hostile):
  model_dir = f"gs://my-bucket/{launching.HOSTILE}" if hostile else BUCKET
  text = launching.HOSTILE if hostile else "a"
  create = f"--create=--description={text}"
  plan = launching.plan(launch_tpu, model_dir, *TPU, wheel, create, "--spot")
  for name in (launch_tpu.SCRIPT, launch_tpu.WORKER):
    script = tmp_path / name
    script.write_text(plan.files[name], encoding="utf-8")
    launching.shellcheck(script, *launching.QUOTED[hostile])


GCLOUD = r"""
# One queued resource with two workers, whose homes are folders. $WORLD/state is
# its state; `describe` after `create` finds it ACTIVE.
echo "gcloud $*" >> "$WORLD/log"
[[ $1 == storage ]] && exit
action=$4
shift 4
workers="0 1" command= files=()
for argument in "$@"; do
  case $argument in
    --worker=0) workers=0 ;;
    --command=*) command=${argument#--command=} ;;
    --*) ;;
    *) files+=("$argument") ;;
  esac
done
case $action in
  describe)
    if [[ ! -f $WORLD/state ]]; then
      echo "ERROR: NOT_FOUND: Resource was not found" >&2
      exit 1
    fi
    cat "$WORLD/state"
    ;;
  create) echo ACTIVE > "$WORLD/state"; mkdir -p "$WORLD"/worker{0,1} ;;
  delete) rm -rf "$WORLD/state" "$WORLD"/worker? ;;
  ssh)
    for w in $workers; do
      [[ -d $WORLD/worker$w ]] || exit 255
      (cd "$WORLD/worker$w" && HOME=$PWD bash -c "$command") || exit
    done
    ;;
  scp)
    unset 'files[-1]' # rm-en:xlrm_job/
    for w in $workers; do cp "${files[@]}" "$WORLD/worker$w/xlrm_job/"; done
    ;;
esac
"""
# The job of the n-th start on worker 0 ends as the n-th word of $WORLD/ends
# says; `lost` takes the machines away.
XLRM = r"""
echo "step 1 of $*"
[[ $PWD == *worker0* ]] || exit 0
read -r end rest < "$WORLD/ends"
echo "$rest" > "$WORLD/ends"
if [[ $end == lost ]]; then
  echo SUSPENDED > "$WORLD/state"
  rm -rf "$WORLD"/worker?
  exit
fi
exit "$end"
"""


@pytest.fixture
def world(tmp_path, wheel, monkeypatch) -> pathlib.Path:
  """Where the stand-ins keep what they know; PATH begins with them."""
  folder = tmp_path / "world"
  programs = folder / "bin"
  programs.mkdir(parents=True)
  (folder / "log").touch()
  for name in ("sudo", "gcsfuse", "touch"):
    launching.program(programs, name, "exit 0\n")
  launching.program(programs, "gcloud", GCLOUD)
  launching.program(programs, "mountpoint", "exit 0\n")
  launching.program(
    programs, "mkdir", '[[ $* == */gcs/* ]] || exec /bin/mkdir "$@"\n'
  )
  launching.program(
    programs, "rm", '[[ $* == */gcs/* ]] || exec /bin/rm "$@"\n'
  )
  launching.program(
    programs,
    "uv",
    'echo "uv $*" >> "$WORLD/log"\n[[ $1 == pip ]] || exit 0\n'
    'mkdir -p .venv/bin && cp "$WORLD/xlrm" .venv/bin/xlrm\n',
  )
  launching.program(folder, "xlrm", XLRM)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
  monkeypatch.setenv("WORLD", str(folder))
  monkeypatch.setenv("POLL_SECONDS", "0.1")
  plan = launching.plan(launch_tpu, BUCKET, *TPU, wheel, "--spot")
  plan.write()
  return folder


def tpu(*arguments: str) -> subprocess.CompletedProcess:
  script = pathlib.Path("xlrm_launch/rm-en") / launch_tpu.SCRIPT
  return subprocess.run(
    ["bash", str(script), *arguments],
    capture_output=True,
    text=True,
    timeout=120,
  )


def actions(world: pathlib.Path) -> list[str]:
  """What gcloud was asked for, without looks and connections."""
  lines = (world / "log").read_text().splitlines()
  words = [x.split() for x in lines if x.startswith("gcloud compute")]
  return [x[4] for x in words if x[4] in ("create", "delete", "scp")]


def test_a_tpu_is_created_used_and_given_back(world):
  (world / "ends").write_text("0\n")
  done = tpu()
  assert done.returncode == 0, done.stderr
  assert "step 1 of run --gin_file=config.gin" in done.stdout
  assert f"done: {BUCKET}" in done.stdout
  assert actions(world) == ["create", "scp", "delete"]
  log = (world / "log").read_text()
  create = next(x for x in log.splitlines() if " create " in x)
  assert "--accelerator-type=v4-32" in create and "--spot" in create
  assert "--node-id=rm-en" in create and "--zone=us-central2-b" in create
  assert "./xlrm-0.1.0-py3-none-any.whl[data,tpu]" in log
  assert log.count("uv pip install") == 2  # workers
  assert (
    f"gcloud storage cp config.gin tpu.sh worker.sh {BUCKET}/launch/" in log
  )


def test_a_preempted_tpu_is_asked_for_again(world):
  (world / "ends").write_text("lost 75 0\n")
  done = tpu()
  assert done.returncode == 0, done.stderr
  assert "rm-en is SUSPENDED" in done.stdout
  assert "saved upon a signal; starting again" in done.stdout
  assert actions(world) == [
    *("create", "scp"),  # lost
    *("delete", "create", "scp"),  # 75: the same machines once more
    *("scp", "delete"),
  ]


def test_a_job_that_fails_is_not_run_again(world):
  (world / "ends").write_text("3 0\n")
  done = tpu()
  assert done.returncode == 1
  assert "exit status 3" in done.stderr and "billed" in done.stderr
  assert actions(world) == ["create", "scp"]
  assert tpu("delete").returncode == 0
  assert tpu("state").stdout == "ABSENT\n"
  assert "no command 'stpo'" in tpu("stpo").stderr


def test_workers_that_cannot_install_end_it(world):
  launching.program(world / "bin", "uv", "echo no such package >&2; exit 1\n")
  done = tpu()
  assert done.returncode == 1
  assert "no such package" in done.stderr
  assert "failures in a row" in done.stderr and "billed" in done.stderr


def test_a_bucket_that_cannot_be_written_is_named(world):
  launching.program(world / "bin", "touch", "exit 1\n")
  done = tpu()
  assert done.returncode == 1
  assert "cannot write to gs://my-bucket" in done.stderr
  assert "Storage Object User" in done.stderr


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--accelerator_type=v5e-8"], "nearest: v5litepod-8"),
    (["--accelerator_type=v4"], "nearest: v4-8"),
    (["--accelerator_type=v4-20"], "nearest: v4-16"),
    (["--accelerator_type=v4-0"], "nearest: v4-8"),
    (["--accelerator_type=v6e-10"], "nearest: v6e-8"),
    (["--accelerator_type=H100x8"], "v4-NUMBER, v5litepod-NUMBER"),
    (["--accelerator_type=v4-32; rm -rf ~"], "v4-NUMBER"),
    (["--zone=europe"], "us-central2-b"),
    (["--zone=us-central2-b\nrm"], "us-central2-b"),
    (["--project=$(id)"], "my-project-123"),
    (["--slices=0"], "--slices=0 must be at least 1"),
    (["--create=reserved"], "--create=--reserved"),
    (["--create=--labels=a\nb"], "in one line"),
    (["--extras=data;id"], "data,tpu"),
    (["--wheel=dist/xlrm-9.whl"], "dist/xlrm-0.1.0-py3-none-any.whl"),
    (["--wheel=none/xlrm.whl"], "has none"),
  ],
)
def test_tpu_names_what_is_wrong_and_the_way_out(arguments, said, wheel):
  assert said in launching.refused(launch_tpu, BUCKET, *TPU, wheel, *arguments)


def test_a_wheel_of_xlrm_must_be_among_the_wheels(wheel, tmp_path):
  (tmp_path / "dist/my_tasks-1-py3-none-any.whl").touch()
  mine = "--wheel=dist/my_tasks-1-py3-none-any.whl"
  assert "none of the wheels is xlrm's" in launching.refused(
    launch_tpu, BUCKET, *TPU, mine
  )
  plan = launching.plan(launch_tpu, BUCKET, *TPU, wheel, mine)
  assert "./my_tasks-1-py3-none-any.whl)" in plan.files["worker.sh"]
