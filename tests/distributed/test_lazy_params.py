"""Parameters that are made where they are to live, and anew at every call."""

import jax
import jax.numpy as jnp
import numpy as np

from xlrm.distributed import lazy_params
from xlrm.distributed import meshes

P = jax.sharding.PartitionSpec


def _mesh(data, model):
  return meshes.MeshConfig(data, model).build(jax.devices()[: data * model])


def test_lazy_parameters_are_made_in_place_and_anew():
  mesh = _mesh(4, 2)
  make = lambda: {"wide": jnp.arange(64.0 * 256).reshape(64, 256)}
  for lazy in (
    lazy_params.LazyParams.computed(make),
    lazy_params.LazyParams.given(make()),
  ):
    assert lazy.abstract["wide"].shape == (64, 256)
    first, again = lazy.on(mesh)["wide"], lazy.on(mesh)["wide"]
    assert first.sharding.spec == P(None, "data")
    first.delete()
    np.testing.assert_array_equal(again, make()["wide"])
    assert lazy.on(None)["wide"].sharding.device_set == {jax.devices()[0]}
