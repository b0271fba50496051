"""xlrm launch: what it refuses, what it prints, that it does nothing alone."""

import shlex

import launching
import pytest

from xlrm.config import gin_jobs
from xlrm.launch import main
from xlrm.launch.targets import launch_kubernetes
from xlrm.launch.targets import launch_local
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import launch_slurm
from xlrm.launch.targets import launch_tpu

GIN_FILE = "--gin_file=demo_sft.gin"
TASK = "--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.es'"


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> str:
  monkeypatch.chdir(tmp_path)
  (tmp_path / "dist").mkdir()
  (tmp_path / "dist/xlrm-0.1.0-py3-none-any.whl").touch()
  return "--wheel=dist/xlrm-0.1.0-py3-none-any.whl"


TPU = ("--accelerator_type=v4-32", "--project=my-p", "--zone=us-central2-b")


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (("tpuu", GIN_FILE), "did you mean 'tpu'"),
    (("slrum", GIN_FILE), "did you mean 'slurm'"),
    ((), "the first word is the target"),
    ((GIN_FILE, "local"), "the first word is the target"),
    (("local",), "--gin_file"),
    (("tpu", GIN_FILE), "--accelerator_type=... --project=... --zone=... --wh"),
    (("tpu", GIN_FILE, *TPU[:2]), "to be said: --zone=... --wheel=..."),
    (("local", GIN_FILE, "--processes=0"), "--processes=0 must be at least 1"),
    (("kubernetes", GIN_FILE), "--image"),
    (("slurm", GIN_FILE, "--gin.TRIAN_STEPS=1"), "TRAIN_STEPS"),
  ],
)
def test_mistakes_are_one_message(
  arguments, said, capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  try:
    code = main.main(["launch", *arguments])
  except SystemExit as stop:  # argparse
    code = stop.code
  assert code == 2
  assert said in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


BUCKET = "gs://my-bucket/rm_en"


def test_a_model_dir_must_outlive_its_machine(wheel, tmp_path):
  said = launching.refused(launch_tpu, "runs/rm_en", *TPU, wheel)
  assert "runs/rm_en" in said and "gs://" in said
  assert "folder that they share" in launching.refused(launch_slurm, BUCKET)
  assert "bucket" in launching.refused(launch_local, BUCKET)
  said = launching.refused(launch_kubernetes, "runs/rm_en", "--image=x")
  assert "--claim=runs:/runs" in said
  said = launching.refused(
    launch_kubernetes, "runs/a", "--image=x", "--claim=c:/runs"
  )
  assert "'/runs/a'" in said
  for model_dir in (None, "", "a\nb", "s3://bucket/x", "gs://"):
    with pytest.raises(ValueError, match="MODEL_DIR"):
      launch_plan.job(model_dir, "")


def test_it_prints_the_files_and_writes_them_with_go_only(
  capsys, tmp_path, monkeypatch
):
  """The gin file that travels is the whole configuration, values included."""
  monkeypatch.chdir(tmp_path)
  folder = tmp_path / "sft; es"
  binding = f"--gin.MODEL_DIR={str(folder)!r}"
  arguments = ["launch", "slurm", GIN_FILE, TASK, binding]
  assert main.main(arguments) == 0
  said = capsys.readouterr().out
  assert "--go does it" in said and "sbatch '" in said
  assert not list(tmp_path.iterdir())

  monkeypatch.setenv("PATH", str(tmp_path))
  assert main.main([*arguments, "--go"]) == 2  # no sbatch here
  assert "sbatch is not on this machine" in capsys.readouterr().err
  for name in ("config.gin", "job.sbatch"):
    text = (folder / "launch" / name).read_text(encoding="utf-8")
    assert text.strip() in said
  again = gin_jobs.load([str(folder / "launch/config.gin")])
  assert again.model_dir() == str(folder)


def test_variables_reach_the_job_on_every_target(wheel, tmp_path):
  hostile = "a b; $(id) 'c'"
  said = [f"A={hostile}", "DATA=gs://my-bucket/data"]
  job = launch_plan.job(BUCKET, "", environment=said)
  options = launching.options(launch_tpu, *TPU, wheel)
  worker = launch_tpu.plan(options, job).files["worker.sh"]
  line = next(x for x in worker.splitlines() if x.startswith("ENVIRONMENT="))
  assert shlex.split(line.removeprefix("ENVIRONMENT=(").removesuffix(")")) == [
    "PYTHONUNBUFFERED=1",
    f"A={hostile}",
    "DATA=/gcs/my-bucket/data",
  ]
  options = launching.options(launch_kubernetes, "--image=x")
  manifest = launch_kubernetes.jobset(options, job)
  assert f"{{'name': 'A', 'value': {hostile!r}}}" in str(manifest)

  job = launch_plan.job(str(tmp_path / "rm"), "", environment=said)
  plan = launch_slurm.plan(launching.options(launch_slurm), job)
  assert f"export A={shlex.quote(hostile)}\n" in plan.files["job.sbatch"]
  plan = launch_local.plan(launching.options(launch_local), job)
  assert plan.commands[1].environment["A"] == hostile
  for wrong in ("A", "1A=2", "A=b\nc"):
    with pytest.raises(ValueError, match="NAME=VALUE"):
      launch_plan.job(BUCKET, "", environment=[wrong])
