// The TypeScript SDK's first generation as a client: sessions only.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { TIMEOUT, tour } from './tour.mjs';

const capabilities = { elicitation: {}, sampling: {}, roots: {} };

function verbs(client, diary) {
  const options = { timeout: TIMEOUT };
  const lists = {
    tools: () => client.listTools({}, options),
    prompts: () => client.listPrompts({}, options),
    resources: () => client.listResources({}, options),
    templates: () => client.listResourceTemplates({}, options),
  };
  const onprogress = (progress) => diary.add('progress', progress);
  return {
    list: (what) => lists[what](),
    call: (params) => client.callTool(params, undefined, { ...options, onprogress }),
    get: (params) => client.getPrompt(params, options),
    read: (params) => client.readResource(params, options),
    complete: (params) => client.complete(params, options),
    subscribe: (params) => client.subscribeResource(params, options),
    unsubscribe: (params) => client.unsubscribeResource(params, options),
  };
}

await tour(async ({ target, answers }, diary) => {
  const client = new Client({ name: 'ts-v1', version: '1.0.0' }, { capabilities });
  const answering = (kind, schema) =>
    client.setRequestHandler(schema, ({ params }) => {
      diary.add(kind, params);
      return answers[kind];
    });
  answering('elicitation', ElicitRequestSchema);
  answering('sampling', CreateMessageRequestSchema);
  answering('roots', ListRootsRequestSchema);
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
    diary.add('updated', params),
  );
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url))
    : new StdioClientTransport({ ...target, stderr: 'inherit' });
  await client.connect(transport);
  return {
    version: transport.protocolVersion ?? null, // over stdio it does not say
    verbs: verbs(client, diary),
    close: () => client.close(),
  };
});
