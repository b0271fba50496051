"""The only importer of SeqIO and TensorFlow inside xlrm.

TensorFlow is kept quiet and off the accelerators, which belong to JAX.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
