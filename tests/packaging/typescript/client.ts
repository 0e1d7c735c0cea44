import type { paths } from "./api";

type Turn = paths["/v1/threads/{id}/messages"]["post"]["requestBody"]["content"]["application/json"];
type Created = NonNullable<paths["/v1/threads"]["post"]["requestBody"]>["content"]["application/json"];
type Page = paths["/v1/threads/{id}/messages"]["get"]["responses"][200]["content"]["application/json"];
type Problem = paths["/v1/threads/{id}"]["get"]["responses"][404]["content"]["application/problem+json"];

const one: Turn = { role: "user", content: "hello" };
const list: Turn = [{ role: "user", content: "hello" }];
const envelope: Turn = { messages: [{ role: "user" }] };
const created: Created = { topic: "x" };
const nobody: Created = {};
const withPeople: Created = { participants: [{ id: "ada" }] };

export async function last(base: string, id: string): Promise<string[]> {
  const answer = await fetch(`${base}/v1/threads/${id}/messages?last=20`);
  if (!answer.ok) {
    const problem = (await answer.json()) as Problem;
    throw new Error(`${problem.code}: ${problem.detail}`);
  }
  const page = (await answer.json()) as Page;
  return page.items.map((entry) => entry.message.role);
}

export const bodies = [one, list, envelope, created, nobody, withPeople];

export function windowSize(page: Page): number | undefined {
  return page.tokens?.total;
}
