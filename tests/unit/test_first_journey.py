"""The journey of docs/write-a-journey.md and its test of docs/test-a-journey.md, as written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("activities", "audiences", "domain", "infra", "rehearsal", "worker", "workflows")
_FILE = re.compile(r"^`(journeys/[^`]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_first_journey_and_its_test_work_as_written(tmp_path: Path) -> None:
    for name in _PACKAGES:
        (tmp_path / name).symlink_to(_ROOT / name)
    shutil.copytree(_ROOT / "journeys", tmp_path / "journeys")
    written = _FILE.findall((_ROOT / "docs/write-a-journey.md").read_text())
    assert len(written) == 2
    for name, text in written:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    test = _TEST.search((_ROOT / "docs/test-a-journey.md").read_text())
    assert test is not None
    (tmp_path / "test_thank_you.py").write_text(test[1])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "rehearsal.plugin", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "-o asyncio_mode=auto"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
