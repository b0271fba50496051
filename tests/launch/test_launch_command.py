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


def refused(module, model_dir, *arguments) -> str:
  with pytest.raises(ValueError) as caught:
    launching.plan(module, model_dir, *arguments)
  return str(caught.value)


BUCKET = "gs://my-bucket/rm_en"


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
  assert said in refused(launch_tpu, BUCKET, *TPU, wheel, *arguments)


def test_a_model_dir_must_outlive_its_machine(wheel, tmp_path):
  said = refused(launch_tpu, "runs/rm_en", *TPU, wheel)
  assert "runs/rm_en" in said and "gs://" in said
  assert "folder that they share" in refused(launch_slurm, BUCKET)
  assert "bucket" in refused(launch_local, BUCKET)
  said = refused(launch_kubernetes, "runs/rm_en", "--image=x")
  assert "--claim=runs:/runs" in said
  said = refused(launch_kubernetes, "runs/a", "--image=x", "--claim=c:/runs")
  assert "'/runs/a'" in said
  for model_dir in (None, "", "a\nb", "s3://bucket/x", "gs://"):
    with pytest.raises(ValueError, match="MODEL_DIR"):
      launch_plan.job(model_dir, "")


def test_a_wheel_of_xlrm_must_be_among_the_wheels(wheel, tmp_path):
  (tmp_path / "dist/my_tasks-1-py3-none-any.whl").touch()
  mine = "--wheel=dist/my_tasks-1-py3-none-any.whl"
  assert "none of the wheels is xlrm's" in refused(
    launch_tpu, BUCKET, *TPU, mine
  )
  plan = launching.plan(launch_tpu, BUCKET, *TPU, wheel, mine)
  assert "./my_tasks-1-py3-none-any.whl)" in plan.files["worker.sh"]


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--time=tomorrow"], "24:00:00"),
    (["--time=1:00:00\n#SBATCH --x"], "24:00:00"),
    (["--nodes=0"], "--nodes=0"),
    (["--gpus_per_node=-1"], "below 0"),
    (["--sbatch=partition=gpu"], "--sbatch=--partition=gpu"),
    (["--sbatch=--comment=a\n#SBATCH --wrap=x"], "in one line"),
    (["--python=/no/python"], "no program here"),
  ],
)
def test_slurm_names_what_is_wrong(arguments, said, tmp_path):
  assert said in refused(launch_slurm, tmp_path / "rm", *arguments)


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--image=a b"], "registry.example/me/xlrm:1"),
    (["--tpu=v7"], "v4, v5e, v5p, v6e"),
    (["--tpu=v6e"], "--topology=4x4"),
    (["--tpu=v6e", "--topology=4x4x4"], "2 numbers"),
    (["--tpu=v5p", "--topology=2x2"], "--topology=2x2x2"),
    (["--tpu=v6e", "--topology=3x3"], "multiple of 4"),
    (["--tpu=v6e", "--topology=4x4", "--nodes=2"], "follow from its"),
    (["--topology=4x4"], "--tpu=v6e"),
    (["--nodes=0"], "--nodes=0"),
    (["--max_restarts=-1"], "below 0"),
    (["--claim=runs"], "runs:/runs"),
    (["--namespace=My_Team"], "my-team"),
  ],
)
def test_kubernetes_names_what_is_wrong(arguments, said):
  image = ("--image=registry.example/me/xlrm:1",)
  assert said in refused(launch_kubernetes, BUCKET, *image, *arguments)


@pytest.mark.parametrize(
  ("model_dir", "name"),
  [
    ("runs/rm_en", "rm-en"),
    ("gs://b/Runs/SFT es.2/", "sft-es-2"),
    ("runs/7b", "xlrm-7b"),
    ("runs/" + "x" * 90, "x" * 40),
  ],
)
def test_a_name_is_made_of_model_dir(model_dir, name):
  assert launch_plan.job(model_dir, "").name == name


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a" * 41, "a\n", "é"])
def test_a_name_that_no_scheduler_takes_is_refused(name):
  with pytest.raises(ValueError, match="rm-en"):
    launch_plan.job("runs/x", "", name)


def test_paths_of_the_bucket_alone_become_files():
  text = "A = 'gs://my-bucket/a'\nB = ['gs://my-bucket', 'gs://my-bucket2/b']\n"
  job = launch_plan.job("gs://my-bucket/run/", text)
  assert job.gin_files["config.gin"] == (
    "A = '/gcs/my-bucket/a'\nB = ['/gcs/my-bucket', 'gs://my-bucket2/b']\n"
  )
  assert job.mounted_dir() == "/gcs/my-bucket/run"
  assert launch_plan.job("runs/x", text).gin_files["config.gin"] == text


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


def test_a_failed_command_ends_the_launch(tmp_path, capsys):
  commands = tuple(
    launch_plan.Command(("sh", "-c", f"echo {x} >> {tmp_path}/said; exit {x}"))
    for x in (0, 3, 0)
  )
  assert launch_plan.run(launch_plan.Plan(tmp_path, {}, commands)) == 3
  assert (tmp_path / "said").read_text() == "0\n3\n"
  assert "sh ended with 3" in capsys.readouterr().out
