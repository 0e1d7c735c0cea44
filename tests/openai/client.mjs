// OpenAI's client for JavaScript: the same jobs as client.py, a line each.
import readline from "node:readline";
import OpenAI from "openai";

const made = new Map();

function client({ base, key }) {
  const name = `${base} ${key}`;
  if (!made.has(name)) made.set(name, new OpenAI({ baseURL: `${base}/v1`, apiKey: key }));
  return made.get(name);
}

const failed = (error) => ({
  error: error.constructor.name,
  status_code: error.status ?? null,
  code: error.code ?? null,
  param: error.param ?? null,
  type: error.type ?? null,
  request_id: error.requestID ?? null,
  message: error.message,
});

async function call(job) {
  const asked = client(job);
  const { conversation_id: conversation, item_id: item, ...rest } = job.args ?? {};
  const options = job.headers ? { headers: job.headers } : {};
  const body = { ...rest, ...job.body };
  const methods = {
    "conversations.create": () => asked.conversations.create(body, options),
    "conversations.retrieve": () => asked.conversations.retrieve(conversation, options),
    "conversations.update": () => asked.conversations.update(conversation, body, options),
    "conversations.delete": () => asked.conversations.delete(conversation, options),
    "conversations.items.create": () => asked.conversations.items.create(conversation, body, options),
    "conversations.items.list": () => asked.conversations.items.list(conversation, body, options),
    "conversations.items.retrieve": () =>
      asked.conversations.items.retrieve(item, { conversation_id: conversation, ...body }, options),
    "conversations.items.delete": () =>
      asked.conversations.items.delete(item, { conversation_id: conversation }, options),
  };
  try {
    if (job.path) {
      return { ok: await asked[job.method](job.path, { query: job.query, body: job.body, ...options }) };
    }
    const answer = methods[job.method]();
    if (job.collect) {
      const found = [];
      for await (const one of answer) found.push(one);
      return { ok: found };
    }
    const value = await answer;
    return { ok: JSON.parse(JSON.stringify(value.data && value.body ? value.body : value)) };
  } catch (error) {
    if (!(error instanceof OpenAI.OpenAIError)) throw error;
    return failed(error);
  }
}

async function turns(job) {
  const asked = client(job);
  const one = async ([conversation, requests]) => {
    for (const items of requests) await asked.conversations.items.create(conversation, { items });
    return requests.length;
  };
  const done = await Promise.allSettled(job.turns.map(one));
  const error = done.find((some) => some.status === "rejected");
  if (error) return failed(error.reason);
  return { ok: done.reduce((all, some) => all + some.value, 0) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  console.log(JSON.stringify(await (job.do === "turns" ? turns : call)(job)));
}
