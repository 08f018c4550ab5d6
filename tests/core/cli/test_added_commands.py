"""Commands that installed packages add."""

from collections.abc import Callable
from typing import Any

Plugway = Callable[..., Any]
Install = Callable[..., Any]

HELLO = """
import click
from plugway_hookspecs import hookimpl

@click.command()
@click.argument("name")
@click.pass_obj
def {command}(app, name):
    "Say hello."
    click.echo(f"hello {{name}}")
    return 5

@hookimpl
def register_commands(cli):
    cli.add_command({command})
"""


def test_a_package_adds_a_command(plugway: Plugway, install: Install) -> None:
    install("hello_command", HELLO.format(command="hello"))
    done = plugway("hello", "Ada")
    assert (done.code, done.out) == (5, "hello Ada\n")


def test_help_shows_added_commands_with_their_first_line(
    plugway: Plugway, install: Install
) -> None:
    install("hi_command", HELLO.format(command="hi"))
    assert "\n  hi    Say hello.\n" in plugway("--help").out


def test_a_built_in_command_runs_without_importing_any_package(
    plugway: Plugway, install: Install
) -> None:
    install("never_imported", "raise SystemExit('imported')")
    assert plugway("hooks").code == 0
    assert plugway("hooks").err == ""


def test_a_broken_package_is_a_line_of_warning_and_never_hides_the_others(
    plugway: Plugway, install: Install
) -> None:
    install("broken_import", "import there_is_no_such_module")
    install(
        "broken_hook",
        "from plugway_hookspecs import hookimpl\n"
        "@hookimpl\ndef register_commands(cli):\n    raise RuntimeError('no luck')\n",
    )
    install("works_well", HELLO.format(command="works"))
    done = plugway("works", "on")
    assert (done.code, done.out) == (5, "hello on\n")
    warnings = done.err.splitlines()
    assert len(warnings) == 2
    assert any("broken_import" in line and "there_is_no_such_module" in line for line in warnings)
    assert any("broken_hook" in line and "no luck" in line for line in warnings)


def test_a_package_can_t_take_the_name_of_a_built_in_command(
    plugway: Plugway, install: Install
) -> None:
    install("thief", HELLO.format(command="serve"))
    done = plugway("--help")
    assert "there is a command 'serve' already" in done.err
    assert "Say hello." not in done.out


def test_a_command_reports_errors_and_starts_plugins_through_its_context(
    process: Plugway, install: Install, configure: Callable[..., Any], shop: dict[str, Any]
) -> None:
    site = install(
        "reports",
        """
import anyio
import click
from plugway_hookspecs import PlugwayError, hookimpl

@click.command()
@click.pass_context
def reports(ctx):
    "Report."
    async def main():
        async with ctx.obj.open_plugins(None) as runner:
            return [plugin.name for plugin in runner.plugins()]
    try:
        click.echo(anyio.run(main))
    except BaseException as error:
        ctx.exit(ctx.obj.report(error))

@hookimpl
def register_commands(cli):
    cli.add_command(reports)
""",
    )
    env = {"PYTHONPATH": str(site)}
    assert "plugway.yaml" in process("reports", env=env).err
    plugins = [{"name": "pii", "kind": "pii_filter", "mode": "audit"}]
    configure({"mcpServers": {"shop": shop}, "plugins": plugins})
    assert process("reports", env=env).out == "['pii']\n"
    configure({"plugins": [{"name": "gone", "kind": "there_is_none"}]})
    done = process("reports", env=env)
    assert done.code == 1
    assert "plugway: gone: plugin kind 'there_is_none': is not installed" in done.err
