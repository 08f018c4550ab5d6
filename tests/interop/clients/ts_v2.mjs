// The TypeScript SDK's second generation as a client, in the era that the plan names.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { TIMEOUT, tour } from './tour.mjs';

const MODES = { legacy: 'legacy', auto: 'auto', modern: { pin: '2026-07-28' } };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };

function verbs(client, diary) {
  const options = { timeout: TIMEOUT };
  const modern = client.getNegotiatedProtocolVersion() >= '2026-07-28';
  const lists = {
    tools: () => client.listTools({}, options),
    prompts: () => client.listPrompts({}, options),
    resources: () => client.listResources({}, options),
    templates: () => client.listResourceTemplates({}, options),
  };
  const onprogress = (progress) => diary.add('progress', progress);
  let subscription;
  return {
    list: (what) => lists[what](),
    call: (params) => client.callTool(params, { ...options, onprogress }),
    get: (params) => client.getPrompt(params, options),
    read: (params) => client.readResource(params, options),
    complete: (params) => client.complete(params, options),
    subscribe: async ({ uri }) => {
      if (!modern) return client.subscribeResource({ uri }, options);
      subscription = await client.listen({ resourceSubscriptions: [uri] }, options);
      const honoured = subscription.honoredFilter.resourceSubscriptions ?? [];
      if (!honoured.includes(uri)) throw new Error(`the subscription to ${uri} is not honoured`);
      return {};
    },
    unsubscribe: async ({ uri }) => {
      if (!modern) return client.unsubscribeResource({ uri }, options);
      await subscription.close();
      return {};
    },
  };
}

await tour(async ({ target, era, answers }, diary) => {
  const client = new Client(
    { name: 'ts-v2', version: '1.0.0' },
    { capabilities, versionNegotiation: { mode: MODES[era] } },
  );
  const answering = (kind, method) =>
    client.setRequestHandler(method, ({ params }) => {
      diary.add(kind, params);
      return answers[kind];
    });
  answering('elicitation', 'elicitation/create');
  answering('sampling', 'sampling/createMessage');
  answering('roots', 'roots/list');
  client.setNotificationHandler('notifications/resources/updated', ({ params }) =>
    diary.add('updated', params),
  );
  const transport = target.url
    ? new StreamableHTTPClientTransport(new URL(target.url))
    : new StdioClientTransport({ ...target, stderr: 'inherit' });
  await client.connect(transport);
  return {
    version: client.getNegotiatedProtocolVersion(),
    verbs: verbs(client, diary),
    close: () => client.close(),
  };
});
