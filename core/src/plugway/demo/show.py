"""What the demo prints: what runs, each call with its chain, and what to try next."""

from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from plugway.cli.output import Cell, Row, print_rows
from plugway.executor.record import StepRecord, lines
from plugway_hookspecs import Operation

COLOURS = {"pass": "dim", "skip": "dim", "modify": "yellow", "deny": "red", "respond": "cyan"}

NEXT = """\
plugway init                  write a plugway.yaml, with the servers you use
plugway check                 start every server once, say what is wrong
plugway call TOOL --explain   see which plugin did what, in microseconds
plugway serve                 one endpoint; prints your client's snippet
plugway hooks                 what a plugin of yours can hook into"""


def show_config(console: Console, text: str) -> None:
    """Print the gateway's configuration."""
    console.print("The configuration of this gateway:", style="bold")
    console.print(Syntax(text.strip(), "yaml", theme="ansi_dark", word_wrap=True))


def show_call(
    console: Console,
    number: int,
    title: str,
    call: tuple[str, dict[str, Any]],
    result: Any,
    operation: Operation,
) -> None:
    """Print one call, the chain it went through, and what the client got."""
    name, arguments = call
    heading = Text.assemble((f" {number} ", "reverse bold"), "  ", (title, "bold"))
    console.print()
    console.print(heading)
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    era = operation.client.protocol_version
    console.print(Text(f"    {name}({shown})   client speaks {era}"), style="cyan")
    print_rows(console, [_step(step) for step in lines(operation)], indent=4)
    error = getattr(result, "is_error", False)
    text = " ".join(" ".join(getattr(block, "text", "") for block in result.content).split())
    console.print(Text.assemble("    → ", (text, "red" if error else "green")))


def _step(step: StepRecord) -> Row:
    """Return one turn of a plugin: the widest column last, and what there is to say under it."""
    cells: list[Cell] = [
        Text(step.hook, "dim"),
        Text(step.applied, COLOURS.get(step.applied, "red")),
        Text(f"{step.duration_ns / 1000:.0f} µs".rjust(8), "dim"),
        step.plugin,
    ]
    findings = ", ".join(f"{found.key}: {found.value}" for found in step.findings)
    said = step.detail or findings
    return Row(cells, [Text(said, "dim")] if said else [])


def show_next(console: Console) -> None:
    """Print what to try next."""
    console.print()
    console.print(Panel.fit(NEXT, title="try next", title_align="left", border_style="green"))
