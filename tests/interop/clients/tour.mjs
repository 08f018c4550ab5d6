// Lead a client through the plan on standard input, and print all that it saw as one JSON document.
//
// A plan is {target, era, answers, chapters}; a chapter is a list of steps such as
// {"call": {"name": "echo"}}. A step that fails ends its chapter, with {"error": ...}, not the tour.
// The document is {version, chapters}; of each chapter it has the answers and the events.
import { text } from 'node:stream/consumers';

export const TIMEOUT = 20_000; // milliseconds, of one step

/** Events in the order they came: progress, questions of servers, updates. */
class Diary {
  entries = [];
  waiting = [];

  /** Return what was written down, and begin anew. */
  turn() {
    return this.entries.splice(0);
  }

  add(kind, params) {
    this.entries.push({ kind, ...params });
    this.waiting.splice(0).forEach((look) => look());
  }

  /** Resolve with the first event of a kind, whether it came already or not. */
  async first(kind) {
    const end = AbortSignal.timeout(TIMEOUT);
    for (;;) {
      const found = this.entries.find((entry) => entry.kind === kind);
      if (found) return found;
      await new Promise((resolve, reject) => {
        this.waiting.push(resolve);
        end.addEventListener('abort', () => reject(new Error(`no ${kind} came`)));
      });
    }
  }
}

async function chapter(steps, verbs) {
  const seen = [];
  for (const step of steps) {
    const [[verb, params]] = Object.entries(step);
    try {
      seen.push(await verbs[verb](params));
    } catch (error) {
      seen.push({ error: { code: error.code ?? null, message: String(error.message) } });
      break;
    }
  }
  return seen;
}

/** Run the plan; `connect(plan, diary)` resolves with {version, verbs, close}. */
export async function tour(connect) {
  const plan = JSON.parse(await text(process.stdin));
  const diary = new Diary();
  const client = await connect(plan, diary);
  const verbs = { ...client.verbs, await: (kind) => diary.first(kind) };
  const chapters = {};
  for (const [name, steps] of Object.entries(plan.chapters)) {
    const answers = await chapter(steps, verbs);
    chapters[name] = { answers, events: diary.turn() };
  }
  await client.close();
  const document = JSON.stringify({ version: client.version, chapters });
  process.stdout.write(document, () => process.exit(0));
}
