"""G23: every shipped gin file dry-runs and runs two steps, as one chain."""

import argparse
import json
import pathlib

import jax
import pytest

from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.config import gin_files
from xlrm.config import gin_jobs
from xlrm.distributed import meshes
from xlrm.launch import demo
from xlrm.launch.studies import study_plan
from xlrm.studies import study_cell
from xlrm.studies import study_cells

# A dry run and the run after it compile the same step, as users' do.
pytestmark = pytest.mark.usefixtures("compile_once")
ES = {"MIXTURE_OR_TASK_NAME": "miniworld_summary.es"}
RATED = {"MIXTURE_OR_TASK_NAME": "miniworld_rating.en"}
SHORT = {"TRAIN_STEPS": 2, "EVAL_PERIOD": 2, "BATCH_SIZE": 8}
FEW = ("GenerationEvaluation.num_examples = 4",)


class Chain:
  """Runs gin files in one folder; `dry` and then `run` of each."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self.ran = set()

  def path(self, name: str) -> str:
    return str(self.folder / name)

  def run(self, gin_file: str, name: str, *bindings: str, **macros):
    """Dry run, which must write nothing, then the run itself."""
    macros = {"MODEL_DIR": self.path(name), **macros}
    lines = [*(f"{k} = {v!r}" for k, v in macros.items()), *bindings]
    before = sorted(self.folder.rglob("*"))
    assert gin_jobs.load([gin_file], lines).plan().text()
    assert sorted(self.folder.rglob("*")) == before
    gin_jobs.load([gin_file], lines).run()
    assert (pathlib.Path(macros["MODEL_DIR"]) / "config.gin").exists()
    self.ran.add(gin_file)
    return pathlib.Path(macros["MODEL_DIR"])


@pytest.fixture(scope="module", autouse=True)
def two_devices():
  """A mesh, but not of eight devices that two cores take turns to be."""
  build = meshes.MeshConfig.build

  def build_small(self, devices=None):
    return build(self, jax.devices()[:2] if devices is None else devices)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(meshes.MeshConfig, "build", build_small)
    yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory, compile_once):
  """The road of the demo, two steps a stage."""
  made = Chain(tmp_path_factory.mktemp("chain"))
  made.run("demo_sft.gin", "sft_es", *FEW, **ES, **SHORT)
  made.run(
    "demo_reward.gin",
    "rm_en",
    **RATED,
    **SHORT,
    INITIAL_CHECKPOINT_PATH=made.path("sft_es"),
  )
  made.run(
    "best_of_n.gin",
    "bon_es",
    "SamplingConfig.max_tokens = 32",
    **ES,
    POLICY=made.path("sft_es"),
    REWARDS={"en": made.path("rm_en")},
    NUM_SAMPLES=2,
    MAX_PROMPTS=4,
  )
  made.run(
    "distill.gin",
    "distilled_es",
    *FEW,
    **SHORT,
    INITIAL_CHECKPOINT_PATH=made.path("sft_es"),
    RUN=made.path("bon_es"),
    REWARD="en",
  )
  made.run(
    "diagnose.gin",
    "diagnosis",
    REWARDS={"untrained head": "nano", "en": made.path("rm_en")},
    LANGUAGES=("es",),
  )
  made.run(
    "demo_evaluate.gin",
    "report",
    RUNS=[made.path("bon_es")],
    DIAGNOSIS=made.path("diagnosis"),
    TRAINING={"SFT es": made.path("sft_es"), "RM en": made.path("rm_en")},
  )
  return made


def test_g23_the_chain_of_jobs_ends_in_a_report(chain):
  report = pathlib.Path(chain.path("report"), "report.html")
  page = report.read_text(encoding="utf-8")
  assert "<svg" in page
  beside = report.parent
  assert len(list(beside.glob("tables/*.csv"))) == page.count("<table")
  assert len(list(beside.glob("figures/*.svg"))) == page.count("<svg")
  for stage in model_files.read_description("nano").history:
    assert stage in page
  lines = pathlib.Path(chain.path("report"), "records.jsonl").read_text(
    encoding="utf-8"
  )
  methods = [json.loads(line)["method"] for line in lines.splitlines()]
  assert sorted(methods) == sorted(["sample", "greedy", "best_of_n"] * 4)


def test_g23_a_verdict_model_chooses_among_samples(chain):
  """The file for the released SEAHORSE metrics, with a stand-in."""
  folder = chain.run(
    "experiments/seahorse/best_of_n.gin",
    "bon_q6",
    "SamplingConfig.max_tokens = 16",
    "best_of_n.run.dtype = 'float32'",
    **ES,
    MIXTURE_OR_TASK_MODULE="xlrm.tasks.miniworld",
    POLICY=chain.path("sft_es"),
    REWARDS={"seahorse_q6": f"verdict:{chain.path('sft_es')}"},
    NUM_SAMPLES=2,
    MAX_PROMPTS=2,
  )
  lines = (folder / "pools.jsonl").read_text(encoding="utf-8").splitlines()
  scores = [json.loads(x)["scores"]["reward/seahorse_q6"] for x in lines]
  assert [len(x) for x in scores] == [3, 3]  # two samples and the baseline
  assert all(abs(x) < 50 for pool in scores for x in pool)


def test_g23_soft_best_of_n_and_a_file_of_prompts(chain):
  rewards = {"en": chain.path("rm_en")}
  soft = chain.run(
    "experiments/miniworld/soft_best_of_n.gin",
    "soft",
    **ES,
    POLICY=chain.path("sft_es"),
    REWARDS=rewards,
    NUM_SAMPLES=2,
    MAX_PROMPTS=2,
  )
  text = (soft / "records.jsonl").read_text(encoding="utf-8")
  assert text.count('"method": "soft_best_of_n"') == 2
  rows = [json.loads(line) for line in text.splitlines()]
  prompts = chain.folder / "prompts.txt"
  prompts.write_text("".join(f"{row['input']}\n" for row in rows[:2]))
  folder = chain.run(
    "best_of_n_file.gin",
    "from_file",
    INPUT=str(prompts),
    POLICY=chain.path("sft_es"),
    REWARDS=rewards,
    NUM_SAMPLES=2,
    MAX_TOKENS=8,
  )
  assert len((folder / "pools.jsonl").read_text().splitlines()) == 2


def test_the_winners_of_best_of_n_are_learnt_from(chain):
  from xlrm.checkpoints import model_files

  distilled = model_files.read_description(chain.path("distilled_es"))
  assert distilled.history[-1] == "SFT on the winners of best-of-n"
  before, after = (
    model_files.fingerprint(chain.path(x)) for x in ("sft_es", "distilled_es")
  )
  assert before != after


def test_what_a_model_directory_tells_of_itself(chain):
  sft = pretrained.load_language_model(chain.path("sft_es")).description
  reward = pretrained.load_scorer(chain.path("rm_en")).description
  assert reward.history == (*sft.history, "reward model")
  base = model_files.read_description("nano")
  assert sft.history == (*base.history, "SFT")


def test_g23_the_saved_configuration_alone_reruns_a_job(chain, tmp_path):
  saved = pathlib.Path(chain.path("bon_es"), "config.gin")
  again = tmp_path / "again"
  gin_jobs.load([str(saved)], [f"MODEL_DIR = {str(again)!r}"]).run()
  first = pathlib.Path(chain.path("bon_es"), "records.jsonl").read_bytes()
  assert (again / "records.jsonl").read_bytes() == first


@pytest.mark.slow
def test_g23_sft_and_reward_with_their_dropout(tmp_path):
  made = Chain(tmp_path)
  made.run("sft.gin", "sft", *FEW, **ES, **SHORT)
  made.run("reward.gin", "rm", **RATED, **SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["summarization", "dialogue"])
def test_g23_the_papers_sft_and_reward_models(name, tmp_path):
  """With the shipped model and task in place of mT5-XL and real text."""
  made = Chain(tmp_path)
  small = {
    **SHORT,
    "BATCH_SIZE": 16,  # parts over devices
    "MIXTURE_OR_TASK_MODULE": "xlrm.tasks.miniworld",
    "TASK_FEATURE_LENGTHS": {"inputs": 72, "targets": 32},
    "INITIAL_CHECKPOINT_PATH": "nano",
  }
  folder = "experiments/paper/"
  made.run(f"{folder}sft_{name}.gin", "sft", *FEW, **small, **ES)
  made.run(f"{folder}reward_{name}.gin", "rm", **small, **RATED)


@pytest.mark.parametrize(
  "gin_file",
  [
    "pretrain.gin",
    pytest.param("experiments/nano/pretrain.gin", marks=pytest.mark.slow),
  ],
)
def test_g23_pretraining(gin_file, tmp_path):
  vocabulary = model_files.vocabulary_path("nano")
  made = Chain(tmp_path)
  folder = made.run(
    gin_file,
    "base",
    "miniworld_pretraining.num_rows = 64",
    "warmup_cosine.warmup_steps = 1",
    **SHORT,
    VOCABULARY=vocabulary,
  )
  loaded = pretrained.load_language_model(folder / "model")
  assert loaded.model.config.emb_dim == 96
  if "nano" not in gin_file:
    return
  settled = made.run(
    "experiments/nano/settle.gin",
    "settled",
    "miniworld_pretraining.num_rows = 64",
    "warmup_cosine.warmup_steps = 1",
    **SHORT,
    VOCABULARY=vocabulary,
    INITIAL_CHECKPOINT_PATH=str(folder / "model"),
  )
  again = pretrained.load_language_model(settled / "model")
  assert again.description.history[:1] == loaded.description.history
  before, after = loaded.params["encoder"], again.params["encoder"]
  moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), before, after)
  assert 0 < max(jax.tree.leaves(moved)) < 1  # trained further, not anew


@pytest.mark.slow  # `make realtext` runs the same files, for longer
def test_g23_real_text(real_data, tmp_path, monkeypatch):
  monkeypatch.setenv("XLRM_REAL_DATA", str(real_data))
  made = Chain(tmp_path)
  vocabulary = model_files.vocabulary_path("nano")
  folder = "experiments/realtext/"
  short = {"TRAIN_STEPS": 2}
  made.run(
    folder + "sft.gin",
    "sft_es",
    "GenerationEvaluation.num_examples = 2",
    "SeqioSource.batch_size = 8",
    "mt5.vocab_size = 1728",
    **short,
    VOCABULARY=vocabulary,
    MIXTURE_OR_TASK_NAME="debsum_summary.es",
  )
  made.run(
    folder + "reward.gin",
    "rm_en",
    **short,
    EVAL_PERIOD=2,
    BATCH_SIZE=8,
    DROPOUT_RATE=0.0,
    INITIAL_CHECKPOINT_PATH=made.path("sft_es"),
  )
  made.run(
    folder + "best_of_n.gin",
    "bon_es",
    POLICY=made.path("sft_es"),
    REWARDS={"en": made.path("rm_en")},
    MAX_PROMPTS=2,
    NUM_SAMPLES=2,
  )


def demo_cells(*options: str) -> dict[str, study_cell.StudyCell]:
  """Name -> cell of the study that `xlrm demo` runs."""
  parser = argparse.ArgumentParser()
  demo.add_arguments(parser)
  lines = demo.bindings(demo.parse(parser, options))
  study = study_plan.Loaded.of([demo.GIN_FILE], lines).study
  return {cell.name: cell for cell in study_cells.cells(study)}


def test_the_demo_runs_shipped_files_only():
  cells = demo_cells()
  for cell in cells.values():
    assert (gin_files.gin_directory() / cell.gin_file).exists()
  # SFT, reward models, best-of-n, PPO and what it says, diagnosis, report.
  assert len(cells) == 4 + 4 + 2 + 2 + 2
  languages = ("en", "de", "es", "ru")
  assert {str(cell.folder) for cell in cells.values()} == {
    *(f"xlrm_demo/{kind}_{x}" for kind in ("sft", "rm") for x in languages),
    *(f"xlrm_demo/best_of_n_{x}" for x in ("es", "ru")),
    *("xlrm_demo/ppo_es", "xlrm_demo/ppo_es_outputs", "xlrm_demo/diagnosis"),
    "xlrm_demo",
  }


def test_the_options_of_the_demo_reach_its_jobs():
  cells = demo_cells(
    *("--output=x", "--seed=3", "--prompts=7"),
    *("--num_samples=2", "--temperature=0.5"),
  )
  for name, cell in cells.items():
    if name.startswith(("sft", "rm")):
      assert cell.settings["SeqioSource.seed"] == 3
      assert cell.settings["TrainConfig.seed"] == 3
  sampled = cells["best_of_n_es"]
  assert set(sampled.bindings) >= {
    *("MODEL_DIR = 'x/best_of_n_es'", "BestOfNConfig.seed = 3"),
    *("MAX_PROMPTS = 7", "NUM_SAMPLES = 2", "TEMPERATURE = 0.5"),
  }
  assert set(cells["ppo_es"].bindings) >= {
    *("RolloutConfig.seed = 3", "TEMPERATURE = 0.5"),
    *("REWARD = 'x/rm_en'", "PPOModels.heldout = 'x/rm_de'"),
  }
  outputs = cells["ppo_es_outputs"].settings
  assert (outputs["OutputsConfig.seed"], outputs["MAX_PROMPTS"]) == (3, 7)
  assert cells["diagnosis"].settings["diagnose.run.seed"] == 3
