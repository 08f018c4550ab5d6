"""Write the first configuration, with comments that say how to go on."""

from collections.abc import Sequence
from itertools import groupby

from plugway.cli.importing.servers import Imported
from plugway.cli.importing.yamltext import block

SCHEMA_FILE = "plugway.schema.json"

_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
#
# plugway: one endpoint for the servers below, with plugins round every call.
#   plugway check                  start everything once and say what is wrong
#   plugway call TOOL --explain    see what each plugin did to a call
#   plugway serve                  run it

"""

_NO_SERVERS = """\
# The block that MCP clients have, taken unchanged. ${NAME} stands for an environment variable.
# Yours may look like this:
#
# mcpServers:
#   files:
#     command: npx
#     args: [-y, "@modelcontextprotocol/server-filesystem", /data]
#   crm:
#     url: https://crm.example/mcp
#     headers: {Authorization: "Bearer ${CRM_TOKEN}"}
"""

_SERVERS = """\
# The block that MCP clients have, taken unchanged. ${NAME} stands for an environment variable.
mcpServers:
"""

_AUDIT = """\

# Every call passes the plugins, lower `priority` first; `plugway plugins` lists the kinds.
plugins:
  # Finds personal data and secrets in calls and results. In mode `audit` it only takes notes, which
  # `plugway call TOOL --explain` shows; take the line out, and it changes what passes.
  - name: pii
    kind: pii_filter
    mode: audit

  # Denies what matches.
  # - name: no_deletes
  #   kind: deny_list
  #   config: {tools: ["*__delete_*"]}
"""

_NO_PLUGINS = """\

# Every call passes the plugins, lower `priority` first; `plugway plugins` lists the kinds.
plugins: []
"""


def compose(servers: Sequence[Imported], *, audit: bool) -> str:
    """Return the text of a configuration; with `audit` it begins with a plugin that only looks."""
    parts = [_HEAD, _SERVERS if servers else _NO_SERVERS]
    for source, group in groupby(servers, key=lambda server: server.source):
        parts.append(f"  # from {source.shown}\n")
        parts += [block({server.name: server.entry}, 2) for server in group]
    parts.append(_AUDIT if audit else _NO_PLUGINS)
    return "".join(parts)
