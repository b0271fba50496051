"""Plans of a launch: names, buckets, files, commands."""

import shlex

import pytest

from xlrm.launch.targets import launch_plan


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


def test_a_failed_command_ends_the_launch(tmp_path, capsys):
  commands = tuple(
    launch_plan.Command(("sh", "-c", f"echo {x} >> {tmp_path}/said; exit {x}"))
    for x in (0, 3, 0)
  )
  assert launch_plan.run(launch_plan.LaunchPlan(tmp_path, {}, commands)) == 3
  assert (tmp_path / "said").read_text() == "0\n3\n"
  assert "sh ended with 3" in capsys.readouterr().out


def test_a_command_is_shown_as_a_shell_reads_it():
  command = launch_plan.Command(("echo", "a b", "$c"), {"X": "1 2"})
  assert command.text() == "X='1 2' echo 'a b' '$c'"
  assert shlex.split(command.text()) == ["X=1 2", "echo", "a b", "$c"]


def test_a_plan_shows_what_it_would_write_and_writes_it(tmp_path):
  folder = tmp_path / "runs/launch"
  plan = launch_plan.LaunchPlan(
    folder,
    {"config.gin": "A = 1\n", "job.sh": "true\n"},
    (launch_plan.Command(("bash", "job.sh")),),
    ("Then: wait",),
  )
  shown = plan.text()
  assert f"---- {folder / 'config.gin'}\nA = 1\n" in shown
  assert "---- commands\n  bash job.sh\n" in shown
  assert shown.endswith("Then: wait")
  assert not folder.exists()
  plan.write()
  assert (folder / "config.gin").read_text() == "A = 1\n"


def test_a_program_that_is_not_here_is_named(tmp_path):
  command = launch_plan.Command(("no-such-program", "x"))
  with pytest.raises(
    ValueError, match="no-such-program is not on this machine"
  ):
    launch_plan.run(launch_plan.LaunchPlan(tmp_path, {}, (command,)))


def test_a_job_says_where_its_gin_file_is():
  job = launch_plan.job("runs/x", "A = 1", command=("study", "--only=a"))
  assert job.run("/job") == ["study", "--only=a", "--gin_file=/job/config.gin"]
  assert job.run() == ["study", "--only=a", "--gin_file=config.gin"]
  assert str(job.folder()) == "runs/x/launch"
  assert str(launch_plan.folder_here(job)) == "xlrm_launch/x"


def test_an_option_below_its_minimum_is_named():
  launch_plan.at_least("--nodes", 1, 1)
  with pytest.raises(ValueError, match="--nodes=0 must be at least 1"):
    launch_plan.at_least("--nodes", 0, 1)
