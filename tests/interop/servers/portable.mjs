// A server on the TypeScript SDK's second generation, for both eras: `portable.mjs [http]`, else stdio.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  McpServer,
  acceptedContent,
  completable,
  createMcpHandler,
  inputRequired,
  inputResponse,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';

const text = (said) => ({ content: [{ type: 'text', text: said }] });
const MEMO = 'memo://today';

function registerTools(server, updated) {
  server.registerTool(
    'greet',
    {
      description: 'Greet somebody.',
      inputSchema: z.object({ name: z.string() }),
      outputSchema: z.object({ greeting: z.string() }),
    },
    ({ name }) => {
      const structuredContent = { greeting: `Hello, ${name}` };
      return { ...text(structuredContent.greeting), structuredContent };
    },
  );
  server.registerTool(
    'book',
    { description: 'Ask in whose name, then book.', inputSchema: z.object({ what: z.string() }) },
    ({ what }, context) => {
      const guest = acceptedContent(context.mcpReq.inputResponses, 'guest');
      if (guest) return text(`booked ${what} for ${guest.name}`);
      const question = inputRequired.elicit({
        message: `Who has ${what}?`,
        requestedSchema: z.object({ name: z.string() }),
      });
      return inputRequired({ inputRequests: { guest: question } });
    },
  );
  server.registerTool(
    'consult',
    { description: 'Ask the model and for the roots, in one round.' },
    (context) => {
      const advice = inputResponse(context.mcpReq.inputResponses, 'advice');
      const place = inputResponse(context.mcpReq.inputResponses, 'place');
      if (advice.kind === 'sampling' && place.kind === 'roots') {
        return text(`${advice.result.content.text} in ${place.roots[0].name}`);
      }
      const question = { role: 'user', content: { type: 'text', text: 'What to do?' } };
      return inputRequired({
        inputRequests: {
          advice: inputRequired.createMessage({ messages: [question], maxTokens: 10 }),
          place: inputRequired.listRoots(),
        },
      });
    },
  );
  server.registerTool('touch', { description: 'Say that the memo changed.' }, () => {
    updated(MEMO);
    return text('touched');
  });
}

function build(updated) {
  const capabilities = { resources: { subscribe: true } };
  const server = new McpServer({ name: 'portable', version: '1.0.0' }, { capabilities });
  registerTools(server, updated ?? ((uri) => server.server.sendResourceUpdated({ uri })));
  for (const verb of ['subscribe', 'unsubscribe']) {
    // of sessions; all of them hear all updates
    server.server.setRequestHandler(`resources/${verb}`, () => ({}));
  }
  server.registerResource('memo', MEMO, { mimeType: 'text/plain' }, ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: 'nothing to do' }],
  }));
  const city = completable(z.string(), (begun) =>
    ['Paris', 'Prague', 'Rome'].filter((name) => name.startsWith(begun)),
  );
  server.registerPrompt('visit', { argsSchema: z.object({ city }) }, ({ city: name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `What is there in ${name}?` } }],
  }));
  return server;
}

if (process.argv[2] === 'http') {
  const handler = createMcpHandler(() => build((uri) => handler.notify.resourceUpdated(uri)));
  const server = createServer(toNodeHandler(handler));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
} else {
  serveStdio(() => build());
}
