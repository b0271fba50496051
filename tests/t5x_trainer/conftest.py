"""The modules for T5X's trainer, on stand-ins for what they use of T5X."""

import pytest
import stub_t5x


@pytest.fixture(scope="module")
def t5x_modules():
  with pytest.MonkeyPatch.context() as patch:
    yield stub_t5x.import_modules(patch)
  stub_t5x.forget()


@pytest.fixture(scope="module")
def t5x_models(t5x_modules):
  return t5x_modules[0]


@pytest.fixture(scope="module")
def t5x_settings(t5x_modules):
  return t5x_modules[1]
