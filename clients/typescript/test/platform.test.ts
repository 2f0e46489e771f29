/** The main job on a platform that runs: EMAIL_SENDER_URL, EMAIL_SENDER_USER and EMAIL_SENDER_PASSWORD name it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, EmailSender } from "../src/index.js";

const { EMAIL_SENDER_URL: url, EMAIL_SENDER_USER: user = "", EMAIL_SENDER_PASSWORD: password = "" } = process.env;

test("the main job", { skip: url === undefined && "no platform is named" }, async () => {
  const client = await EmailSender.signIn(url as string, user, password);
  const unique = crypto.randomUUID();
  const letter = [
    "From ada@sender.example Thu Aug 22 12:36:23 2002",
    `From: Ada Byron <${unique}@sender.example>`,
    "To: team@receiver.example",
    "Subject: A question",
    "Date: Thu, 22 Aug 2002 18:26:25 +0700",
    `Message-ID: <${unique}@sender.example>`,
    "",
    "My plotter draws empty pages since Monday. Who can help me with the plotter?",
    "",
  ];
  const importId = await client.uploadMailbox("archive.mbox", new Blob([letter.join("\n")]));
  const imported = await client.waitForImport(importId, { seconds: 90 });
  assert.deepEqual([imported.status, imported.progress.stored], ["completed", 1]);

  const people = await client.findPeople("who has a plotter that draws empty pages?", 10);
  assert.match(people[0]?.group.hits[0]?.message?.passage?.text ?? "", /empty pages/);

  const definition = { name: `w-${unique}`, steps: [{ id: "one", uses: "transform", with: { sum: "{% $inputs.n + 1 %}" } }] };
  const { data: workflow } = await client.api.POST("/api/v1/workflows", { body: { definition } });
  const run = await client.startRun(workflow?.id ?? "", { n: 1 });
  assert.equal((await client.waitForRun(run.id, { seconds: 60 })).status, "succeeded");

  const ids: string[] = [];
  const runs = client.iterate((query) => client.api.GET("/api/v1/runs", { params: { query } }));
  for await (const { id } of runs) ids.push(id);
  assert.ok(ids.includes(run.id));

  const invalid = client.api.POST("/api/v1/contacts", { body: { email: "nobody" } });
  await assert.rejects(invalid, (error: ApiError) => error.status === 422 && error.problems.has("/email"));
});
