"""What every job is: an object that says what it would do, and does it.

A job is a frozen dataclass. Its fields are what a gin file sets, or a notebook
gives; nothing is read, checked or written before `plan` or `run`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, Protocol, runtime_checkable

from xlrm.distributed import device_memory


@runtime_checkable
class Printable(Protocol):
  """What `plan` returns."""

  def text(self) -> str:
    """The plan in lines, for people."""
    ...


@runtime_checkable
class Runnable(Protocol):
  """A job."""

  def plan(self, devices: str | None = None) -> Printable:
    """What `run` would do; runs no step and writes nothing.

    Args:
      devices: to fit into, such as 'v4-32', as many as JAX has here; None
        lists all kinds.
    """
    ...

  def run(self) -> Any:
    """Does it, or continues what a killed one began."""
    ...


@dataclasses.dataclass(frozen=True)
class JobPlan:
  """A job in words, and what its parts take of each device.

  Attributes:
    words: what would be done.
    memory: name of a part -> its plan.
    devices: planned for; None are all kinds.
  """

  words: str
  memory: Mapping[str, device_memory.MemoryPlan] = dataclasses.field(
    default_factory=dict
  )
  devices: device_memory.Devices | None = None

  def text(self) -> str:
    """The plan in lines."""
    parts = [
      f"{name}: {x.text(self.devices)}" for name, x in self.memory.items()
    ]
    return "\n".join([self.words, *parts])
