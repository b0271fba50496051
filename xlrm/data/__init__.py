"""The only importer of SeqIO and TensorFlow inside xlrm.

TensorFlow is kept off the accelerators, which belong to JAX, and quiet: what
it writes to standard error while it looks for devices is dropped.
"""

import contextlib
import os
import sys


@contextlib.contextmanager
def _quiet():
  """Drops what native code writes to file descriptor 2 meanwhile."""
  sys.stderr.flush()
  kept = os.dup(2)
  try:
    with open(os.devnull, "w") as sink:
      os.dup2(sink.fileno(), 2)
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _quiet():
  import tensorflow as tf

  tf.config.set_visible_devices([], "GPU")
