"""The tests in docs/testing.md pass, and its failures look as it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from plugway.testing import BrokenPromiseError, check_plugin
from plugway_hookspecs import Plugin, ToolCall, hookimpl

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
SETTINGS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_tests_on_the_page_pass_with_its_settings(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("\n".join(SETTINGS))
    for number, code in enumerate(EXAMPLES):
        (tmp_path / f"test_{number}.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    written = len(re.findall(r"^(?:async )?def test_", "\n".join(EXAMPLES), re.MULTILINE))
    assert f"{written} passed" in done.stdout


def test_a_broken_promise_looks_as_the_page_says() -> None:
    class Trim(Plugin):
        @hookimpl
        def tool_pre_invoke(self, payload: ToolCall) -> None:
            for key in payload.arguments:
                payload.arguments[key] = ""  # type: ignore[index]

    with pytest.raises(BrokenPromiseError) as raised:
        check_plugin(Trim)
    said = re.sub(r"arguments=.*", "arguments={'': None})", str(raised.value))
    assert f"```text\n{said}\n```" in PAGE
