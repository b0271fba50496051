"""The Kubernetes manifest: its own validators, fields, and a round trip."""

import launching
import pytest
import yaml

from xlrm.launch.targets import launch_kubernetes
from xlrm.launch.targets import launch_plan

IMAGE = "--image=registry.example/me/xlrm:1"
GPUS = (IMAGE, "--nodes=2", "--gpus_per_node=8", "--claim=runs:/runs")
TPUS = (IMAGE, "--tpu=v6e", "--topology=4x4", "--slices=2", "--spot")
CASES = [("/runs/rm_en", GPUS), ("gs://my-bucket/rm_en", TPUS)]


def documents(model_dir, arguments) -> tuple[dict, dict]:
  plan = launching.plan(launch_kubernetes, model_dir, *arguments)
  text = plan.files[launch_kubernetes.MANIFEST]
  config, jobset = yaml.safe_load_all(text)
  return config, jobset


@pytest.mark.parametrize(("model_dir", "arguments"), CASES)
def test_the_jobs_inside_are_valid_jobs(model_dir, arguments):
  validator = pytest.importorskip("kubernetes_validate")
  config, jobset = documents(model_dir, arguments)
  validator.validate(config, "1.31", strict=True)
  (inner,) = jobset["spec"]["replicatedJobs"]
  job = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": f"{jobset['metadata']['name']}-{inner['name']}-0"},
    **inner["template"],
  }
  validator.validate(job, "1.31", strict=True)
  job["spec"]["backofLimit"] = 0
  with pytest.raises(validator.ValidationError, match="backofLimit"):
    validator.validate(job, "1.31", strict=True)


@pytest.mark.parametrize(("model_dir", "arguments"), CASES)
def test_a_preempted_jobset_starts_again_without_counting(model_dir, arguments):
  """An exit status of 75 or a lost machine fails the Job with the reason
  PodFailurePolicy, and that reason is the one that does not count."""
  _, jobset = documents(model_dir, arguments)
  assert jobset["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
  assert jobset["kind"] == "JobSet"
  failure = jobset["spec"]["failurePolicy"]
  assert failure["maxRestarts"] == 3
  (rule,) = failure["rules"]
  assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
  assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
  (inner,) = jobset["spec"]["replicatedJobs"]
  job = inner["template"]["spec"]
  pod = job["template"]["spec"]
  assert pod["restartPolicy"] == "Never"  # what a pod failure policy needs
  lost, saved = job["podFailurePolicy"]["rules"]
  assert {lost["action"], saved["action"]} == {"FailJob"}
  (condition,) = lost["onPodConditions"]
  assert condition == {"type": "DisruptionTarget", "status": "True"}
  assert saved["onExitCodes"]["values"] == [75]
  (container,) = pod["containers"]
  assert saved["onExitCodes"]["containerName"] == container["name"]


def test_processes_of_gpu_machines_find_the_first_pod():
  """<jobset>-<job>-<job index>-<pod index>.<jobset>, JobSet's own names."""
  _, jobset = documents(*CASES[0])
  assert jobset["spec"]["network"]["enableDNSHostnames"] is True
  (inner,) = jobset["spec"]["replicatedJobs"]
  job = inner["template"]["spec"]
  assert job["completionMode"] == "Indexed"
  assert job["completions"] == job["parallelism"] == 2
  (container,) = job["template"]["spec"]["containers"]
  said = {x["name"]: x for x in container["env"]}
  name = jobset["metadata"]["name"]
  first = f"{name}-{inner['name']}-0-0.{name}"
  assert said["XLRM_COORDINATOR_ADDRESS"]["value"] == f"{first}:8476"
  assert said["XLRM_PROCESS_COUNT"]["value"] == "2"
  index = said["XLRM_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
  assert "job-completion-index" in index
  assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}


def test_a_tpu_slice_is_told_by_gke():
  _, jobset = documents(*CASES[1])
  (inner,) = jobset["spec"]["replicatedJobs"]
  assert inner["replicas"] == 2  # slices
  job = inner["template"]["spec"]
  assert job["completions"] == 4  # machines of 4 chips
  pod = job["template"]["spec"]
  assert pod["nodeSelector"] == {
    "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
    "cloud.google.com/gke-tpu-topology": "4x4",
    "cloud.google.com/gke-spot": "true",
  }
  (container,) = pod["containers"]
  assert container["resources"]["limits"] == {"google.com/tpu": 4}
  assert not any(x["name"].startswith("XLRM_") for x in container["env"])
  annotations = job["template"]["metadata"]["annotations"]
  assert annotations == {"gke-gcsfuse/volumes": "true"}
  runs = next(x for x in pod["volumes"] if x["name"] == "runs")
  assert runs["csi"]["volumeAttributes"]["bucketName"] == "my-bucket"


def test_the_gin_file_arrives_as_it_was():
  """Quotes, dollars, trailing spaces, tabs, other scripts, no last line end."""
  gin = "A = 'x: {{y}} $(z) `w` \"'\n\n# über ключ \nB = 1\t\nC = '# - |'"
  for text in (gin, gin + "\n", "A = 1"):
    job = launch_plan.job("/runs/x", text)
    said = launching.options(launch_kubernetes, *GPUS)
    plan = launch_kubernetes.plan(said, job)
    config, jobset = yaml.safe_load_all(plan.files["jobset.yaml"])
    assert config["data"] == {"config.gin": text}
    (inner,) = jobset["spec"]["replicatedJobs"]
    pod = inner["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volume = next(x for x in pod["volumes"] if x["name"] == "job")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert container["command"][-1] == "--gin_file=/job/config.gin"


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
    (["--max_restarts=-1"], "must be at least 0"),
    (["--claim=runs"], "runs:/runs"),
    (["--namespace=My_Team"], "my-team"),
  ],
)
def test_kubernetes_names_what_is_wrong(arguments, said):
  image = ("--image=registry.example/me/xlrm:1",)
  assert said in launching.refused(
    launch_kubernetes, "gs://my-bucket/rm_en", *image, *arguments
  )
