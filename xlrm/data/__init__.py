"""The only importer of SeqIO and TensorFlow inside xlrm.

TensorFlow is kept quiet and off the accelerators, which belong to JAX.
"""

import contextlib
import os
import tempfile


@contextlib.contextmanager
def _quiet():
  """Holds back what C++ writes to stderr, unless an exception follows.

  TensorFlow greets on stderr before it reads its own log level.
  """
  with tempfile.TemporaryFile() as held:
    stderr = os.dup(2)
    os.dup2(held.fileno(), 2)
    try:
      yield
    except BaseException:
      held.seek(0)
      os.write(stderr, held.read())
      raise
    finally:
      os.dup2(stderr, 2)
      os.close(stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _quiet():
  import tensorflow as tf

  for _kind in ("GPU", "TPU"):
    try:
      tf.config.set_visible_devices([], _kind)
    except (RuntimeError, ValueError):
      pass  # TensorFlow runs already: the user gave it its devices
  import seqio as _  # noqa: F401 - TensorFlow Text greets once more
