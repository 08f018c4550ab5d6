"""docs/configuration.md says what the models say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "configuration_reference.py"))
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == tool["render"](), "run: python tools/configuration_reference.py"
