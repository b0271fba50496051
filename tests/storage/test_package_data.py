"""What ships inside the package is found, wherever the work is done."""

import json
import zipfile

from xlrm.storage import package_data


def test_assets_are_found_from_any_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  nano = package_data.asset("nano")
  assert json.loads((nano / "model.json").read_text())["kind"]
  assert zipfile.is_zipfile(package_data.asset("nano", "params.npz"))
  assert not package_data.asset("nano", "none").exists()
