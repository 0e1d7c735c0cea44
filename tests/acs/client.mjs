// The client for JavaScript: each line of stdin is a job, and the line that is printed is its outcome.
import readline from "node:readline";
import { ChatClient } from "@azure/communication-chat";
import { AzureCommunicationTokenCredential } from "@azure/communication-common";

const made = new Map();

function client({ base, token }) {
  const name = `${base} ${token}`;
  if (!made.has(name)) {
    const credential = new AzureCommunicationTokenCredential(token);
    // As many tries as by default, sooner.
    made.set(name, new ChatClient(base, credential, { retryOptions: { retryDelayInMs: 20 } }));
  }
  return made.get(name);
}

const idOf = (user) => user?.communicationUserId;
const time = (value) => value?.toISOString();
const user = (id) => ({ communicationUserId: id });
const person = ({ id, name, since, metadata }) => ({
  id: user(id),
  displayName: name,
  shareHistoryTime: since && new Date(since),
  metadata,
});

const shown = {
  thread: (one) => ({
    id: one.id,
    topic: one.topic,
    created: time(one.createdOn),
    creator: idOf(one.createdBy),
    metadata: one.metadata,
    retention: one.retentionPolicy,
  }),
  item: (one) => ({ id: one.id, topic: one.topic, last: time(one.lastMessageReceivedOn) }),
  message: (one) => ({
    id: one.id,
    type: one.type,
    sequence: one.sequenceId,
    version: one.version,
    text: one.content?.message,
    topic: one.content?.topic,
    participants: one.content?.participants?.map((each) => idOf(each.id)),
    initiator: idOf(one.content?.initiator),
    name: one.senderDisplayName,
    sender: idOf(one.sender),
    created: time(one.createdOn),
    edited: time(one.editedOn),
    deleted: time(one.deletedOn),
    metadata: one.metadata,
  }),
  participant: (one) => ({
    id: idOf(one.id),
    name: one.displayName,
    since: time(one.shareHistoryTime),
    metadata: one.metadata,
  }),
  receipt: (one) => ({ sender: idOf(one.sender), message: one.chatMessageId, read: time(one.readOn) }),
};

async function listed(pages, show, most) {
  const found = [];
  for await (const page of pages.byPage()) {
    if (most && page.length > most) throw new Error("a page is too long");
    found.push(...page.map(show));
  }
  return found;
}

function errors(invalid) {
  return (invalid ?? []).map((one) => one.target);
}

async function call(job) {
  const chat = client(job);
  const thread = job.thread ? chat.getChatThreadClient(job.thread) : undefined;
  const { size, since, ...args } = job.args ?? {};
  const headers = job.request ? { "x-ms-client-request-id": job.request } : {};
  const options = { requestOptions: { customHeaders: headers } };
  const page = { ...options, maxPageSize: size, startTime: since && new Date(since), skip: args.skip };
  const methods = {
    create: async () => {
      const { topic, participants, token, metadata, retention } = args;
      const more = { participants: participants?.map(person), idempotencyToken: token, metadata };
      const made = await chat.createChatThread({ topic }, { ...options, ...more, retentionPolicy: retention });
      return { ...shown.thread(made.chatThread), errors: errors(made.invalidParticipants) };
    },
    threads: () => listed(chat.listChatThreads(page), shown.item, size),
    delete_thread: () => chat.deleteChatThread(job.thread, options),
    properties: async () => shown.thread(await thread.getProperties(options)),
    topic: () => thread.updateTopic(args.topic, options),
    update: () =>
      thread.updateProperties({ ...options, metadata: args.metadata, retentionPolicy: args.retention }),
    send: async () => {
      const { text, name, type, metadata } = args;
      const more = { senderDisplayName: name, type, metadata };
      return (await thread.sendMessage({ content: text }, { ...options, ...more })).id;
    },
    get: async () => shown.message(await thread.getMessage(args.id, options)),
    messages: () => listed(thread.listMessages(page), shown.message, size),
    edit: () => thread.updateMessage(args.id, { ...options, content: args.text, metadata: args.metadata }),
    delete: () => thread.deleteMessage(args.id, options),
    add: async () =>
      errors(
        (await thread.addParticipants({ participants: args.participants.map(person) }, options))
          .invalidParticipants,
      ),
    remove: () => thread.removeParticipant(user(args.id), options),
    participants: () => listed(thread.listParticipants(page), shown.participant, size),
    receipt: () => thread.sendReadReceipt({ chatMessageId: args.id }, options),
    receipts: () => listed(thread.listReadReceipts(page), shown.receipt, size),
    typing: () => thread.sendTypingNotification({ ...options, senderDisplayName: args.name }),
  };
  try {
    return { ok: (await methods[job.do]()) ?? null };
  } catch (error) {
    if (error.name !== "RestError") throw error;
    const { statusCode, code } = error;
    return { error: error.name, status: statusCode ?? null, code: code ?? null, message: error.message };
  }
}

async function turns(job) {
  const chat = client(job);
  const one = async ([id, texts]) => {
    const thread = chat.getChatThreadClient(id);
    for (const content of texts) await thread.sendMessage({ content });
    return texts.length;
  };
  const done = await Promise.all(Object.entries(job.turns).map(one));
  return { ok: done.reduce((all, some) => all + some, 0) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  console.log(JSON.stringify(await (job.do === "turns" ? turns : call)(job)));
}
