"""A JobSet (jobset.x-k8s.io) and a ConfigMap with the gin file.

  xlrm launch kubernetes --image=registry.example/me/xlrm:1 --nodes=2 \\
    --gpus_per_node=8 --claim=runs:/runs --gin_file=... \\
    --gin.MODEL_DIR=/runs/rm_en --go

or, for TPUs of GKE, --tpu=v6e --topology=4x4 in place of nodes and GPUs, and
MODEL_DIR in a bucket. GKE tells JAX about the other workers of a TPU; elsewhere
the first pod's name in the JobSet's own network does, and no pod needs any
permission of the cluster.
"""

import argparse
import posixpath
from typing import Any

from xlrm.distributed import preemption
from xlrm.launch.targets import gke_slices
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import manifest_yaml

MANIFEST = "jobset.yaml"
CONTAINER = "xlrm"  # also the name of the replicated job
PORT = 8476
SAVE_SECONDS = 180  # from SIGTERM to SIGKILL; spot machines give less


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the options of this target."""
  add = parser.add_argument
  add("--image", help="container image with xlrm; launch/README.md makes one")
  add("--nodes", type=int, help="pods, each a process; default 1")
  add("--gpus_per_node", type=int, default=0, help="default 0: CPUs only")
  add("--tpu", help=f"of GKE: {', '.join(gke_slices.TPUS)}")
  add("--topology", help="of the TPU slice: 4x4, 2x2x2")
  add("--slices", type=int, default=1, help="of the TPU; default 1")
  add("--spot", action="store_true", help="on GKE's spot machines")
  add("--claim", help="NAME:FOLDER, a PersistentVolumeClaim and where it goes")
  add("--namespace", default="default", help="default: default")
  add("--service_account", help="of the pods; to reach a bucket on GKE")
  add("--max_restarts", type=int, default=3, help="after failures; default 3")


def check(options: argparse.Namespace) -> None:
  """Raises ValueError for an option that is missing or impossible."""
  form = launch_plan.checked
  if not options.image:
    raise ValueError(
      "still to be said: --image=... , a container image with xlrm; "
      "launch/README.md makes one"
    )
  form("--image", options.image, r"[\w./:@-]+", "registry.example/me/xlrm:1")
  label = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
  form("--namespace", options.namespace, label, "my-team")
  if options.service_account is not None:
    form("--service_account", options.service_account, label, "trainer")
  if options.claim is not None:
    form("--claim", options.claim, rf"{label}:/[\w./-]+", "runs:/runs")
  launch_plan.at_least("--slices", options.slices, 1)
  for name in ("gpus_per_node", "max_restarts"):
    launch_plan.at_least(f"--{name}", getattr(options, name), 0)
  if options.tpu is None:
    if options.topology or options.slices > 1:
      raise ValueError("--topology and --slices belong to a TPU: --tpu=v6e")
    nodes = 1 if options.nodes is None else options.nodes
    launch_plan.at_least("--nodes", nodes, 1)
  elif options.gpus_per_node or options.nodes is not None:
    raise ValueError(
      "the nodes of a TPU slice follow from its --topology; --nodes and "
      "--gpus_per_node are for other machines"
    )


def _storage(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> tuple[str, dict[str, Any]]:
  """(where MODEL_DIR's volume is mounted, the volume)."""
  if job.bucket is not None:
    mount = "implicit-dirs,file-system:rename-dir-limit:200000"
    uncached = "metadata-cache:ttl-secs:0,metadata-cache:negative-ttl-secs:0"
    attributes = {
      "bucketName": job.bucket,
      "mountOptions": f"{mount},{uncached}",
    }
    csi = {
      "driver": "gcsfuse.csi.storage.gke.io",
      "volumeAttributes": attributes,
    }
    return f"{launch_plan.MOUNT}/{job.bucket}", {"csi": csi}
  if not options.claim:
    raise ValueError(
      f"MODEL_DIR {job.model_dir!r} would be lost with its pod; name the "
      "volume that holds it, --claim=runs:/runs, or a bucket on GKE: "
      "--gin.MODEL_DIR=gs://my-bucket/rm_en"
    )
  claim, folder = options.claim.split(":", 1)
  inside = posixpath.normpath(job.model_dir)
  if not inside.startswith(posixpath.normpath(folder) + "/"):
    raise ValueError(
      f"MODEL_DIR {job.model_dir!r} is not inside {folder}, where "
      f"--claim={options.claim} is mounted: "
      f"--gin.MODEL_DIR=\"'{folder.rstrip('/')}/{job.name}'\""
    )
  return folder, {"persistentVolumeClaim": {"claimName": claim}}


def _environment(name: str, nodes: int) -> list[dict[str, Any]]:
  """The other processes, where no cluster tells JAX: <jobset>-<job>-0-0 is the
  first pod, <jobset> the network.
  """
  index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
  first = f"{name}-{CONTAINER}-0-0.{name}:{PORT}"
  return [
    {"name": "XLRM_COORDINATOR_ADDRESS", "value": first},
    {"name": "XLRM_PROCESS_COUNT", "value": str(nodes)},
    {
      "name": "XLRM_PROCESS_ID",
      "valueFrom": {"fieldRef": {"fieldPath": index}},
    },
  ]


def _container(
  options: argparse.Namespace,
  job: launch_plan.LaunchJob,
  nodes: int,
  folder: str,
) -> dict[str, Any]:
  """The container that runs the job, with its volumes."""
  said = {"PYTHONUNBUFFERED": "1", **job.environment}
  environment = [
    {"name": name, "value": job.mounted(value)} for name, value in said.items()
  ]
  if not options.tpu:
    environment += _environment(job.name, nodes)
  return {
    "name": CONTAINER,
    "image": options.image,
    "command": ["xlrm", *job.run("/job")],
    "env": environment,
    "volumeMounts": [
      {"name": "job", "mountPath": "/job"},
      {"name": "runs", "mountPath": folder},
    ],
  }


def _pod(
  options: argparse.Namespace,
  job: launch_plan.LaunchJob,
  nodes: int,
  chips: int,
) -> dict[str, Any]:
  """Template of the pods."""
  folder, volume = _storage(options, job)
  selector, resources = {}, {}
  if options.tpu:
    selector["cloud.google.com/gke-tpu-accelerator"] = gke_slices.TPUS[
      options.tpu
    ][0]
    selector["cloud.google.com/gke-tpu-topology"] = options.topology
    resources["google.com/tpu"] = chips
  elif chips:
    resources["nvidia.com/gpu"] = chips
  if options.spot:
    selector["cloud.google.com/gke-spot"] = "true"
  container = _container(options, job, nodes, folder)
  if resources:
    container["resources"] = {"limits": resources}
  spec = {
    "restartPolicy": "Never",
    "terminationGracePeriodSeconds": SAVE_SECONDS,
    "containers": [container],
    "volumes": [
      {"name": "job", "configMap": {"name": f"{job.name}-gin"}},
      {"name": "runs", **volume},
    ],
  }
  if selector:
    spec["nodeSelector"] = selector
  if options.service_account:
    spec["serviceAccountName"] = options.service_account
  fuse = {"gke-gcsfuse/volumes": "true"} if job.bucket else {}
  return {**({"metadata": {"annotations": fuse}} if fuse else {}), "spec": spec}


def _slice_job(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> dict[str, Any]:
  """The job of a slice: one pod per machine, and what their failures mean."""
  if options.tpu:
    nodes, chips = gke_slices.machines(options.tpu, options.topology)
  else:
    nodes, chips = options.nodes or 1, options.gpus_per_node
  saved = {"containerName": CONTAINER, "operator": "In"}
  saved["values"] = [preemption.PREEMPTED_EXIT_CODE]
  lost = {"type": "DisruptionTarget", "status": "True"}
  return {
    "backoffLimit": 0,
    "completionMode": "Indexed",
    "completions": nodes,
    "parallelism": nodes,
    "podFailurePolicy": {
      "rules": [
        {"action": "FailJob", "onPodConditions": [lost]},
        {"action": "FailJob", "onExitCodes": saved},
      ]
    },
    "template": _pod(options, job, nodes, chips),
  }


def jobset(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> dict[str, Any]:
  """The JobSet: one job per slice, one pod per machine.

  A pod that fails fails its job, and a job that fails starts the set again, at
  most max_restarts times; it does not count if the machine was taken away or
  the job said that it saved.
  """
  metadata = {"name": job.name, "namespace": options.namespace}
  if options.tpu:  # one node pool per slice
    key = "alpha.jobset.sigs.k8s.io/exclusive-topology"
    metadata["annotations"] = {key: "cloud.google.com/gke-nodepool"}
  return {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": metadata,
    "spec": {
      "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
      "failurePolicy": {
        "maxRestarts": options.max_restarts,
        "rules": [
          {
            "name": "preempted",
            "action": "RestartJobSetAndIgnoreMaxRestarts",
            "onJobFailureReasons": ["PodFailurePolicy"],
          }
        ],
      },
      "replicatedJobs": [
        {
          "name": CONTAINER,
          "replicas": options.slices,
          "template": {"spec": _slice_job(options, job)},
        }
      ],
    },
  }


def manifest(options: argparse.Namespace, job: launch_plan.LaunchJob) -> str:
  """The ConfigMap and the JobSet as YAML."""
  gin_file = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": f"{job.name}-gin", "namespace": options.namespace},
    "data": job.gin_files,
  }
  text = manifest_yaml.dump([gin_file, jobset(options, job)])
  return f"# Written by `xlrm launch kubernetes`.\n{text}"


def plan(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> launch_plan.LaunchPlan:
  """The plan of the manifest and `kubectl apply`.

  Raises:
    ValueError: an option is missing or impossible, MODEL_DIR is on no volume.
  """
  folder = launch_plan.folder_here(job)
  path = str(folder / MANIFEST)
  first = "batch.kubernetes.io/job-completion-index=0"
  logs = f"jobset.sigs.k8s.io/jobset-name={job.name},{first}"
  return launch_plan.LaunchPlan(
    folder,
    {MANIFEST: manifest(options, job)},
    (launch_plan.Command(("kubectl", "apply", f"--filename={path}")),),
    (
      f"Then: kubectl logs --follow --namespace={options.namespace} "
      f"--selector={logs} --container={CONTAINER}",
      f"      kubectl delete --filename={path}",
    ),
  )


go = launch_plan.run
