/** Tests of the client without a platform: sessions, retries, pages, and what is sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, CodeNeeded, EmailSender, type Session, SignInNeeded } from "../src/index.js";

const URL = "http://platform.example";
const SESSION: Session = { accessToken: "first", refreshToken: "refresh", expiresAt: Date.now() + 3_600_000 };
const TOKENS = { access_token: "second", refresh_token: "next", token_type: "Bearer", expires_in: 3600 };

type Answer = Response | Error | (() => Response);

/** Gives the answers in order; the last one stays. */
class Server {
  readonly requests: { method: string; path: string; headers: Headers; body: string }[] = [];
  constructor(private readonly answers: Answer[]) {}

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname, search } = new globalThis.URL(request.url);
    const path = pathname.replace("/api/v1", "") + search;
    this.requests.push({ method: request.method, path, headers: request.headers, body: await request.text() });
    const answer = (this.answers.length > 1 ? this.answers.shift() : this.answers[0]) as Answer;
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer() : answer.clone();
  };

  client(session: Session | undefined = SESSION, sessionChanged: (session: Session) => void = () => {}): EmailSender {
    return new EmailSender(URL, { session, sessionChanged, fetch: this.fetch as typeof fetch });
  }
}

function ok(body: unknown): Response {
  return Response.json(body);
}

function problem(status: number, headers: Record<string, string> = {}): Response {
  const body = { code: "c", detail: "It went wrong.", request_id: "r", errors: [{ pointer: "/a", message: "m" }] };
  return Response.json(body, { status, headers });
}

test("pages are read when they are needed", async () => {
  const server = new Server([ok({ items: [1, 2], next_cursor: "more" }), ok({ items: [3], next_cursor: null })]);
  const client = server.client();
  const found: unknown[] = [];
  for await (const item of client.iterate((query) => client.api.GET("/api/v1/contacts", { params: { query } }))) {
    found.push(item);
    if (found.length === 2) assert.equal(server.requests.length, 1);
  }
  assert.deepEqual(found, [1, 2, 3]);
  assert.deepEqual(
    server.requests.map((request) => request.path),
    ["/contacts?limit=200", "/contacts?limit=200&cursor=more"],
  );
  assert.equal(server.requests[0]?.headers.get("authorization"), "Bearer first");
});

test("several ids repeat the parameter, and a path is escaped", async () => {
  const server = new Server([ok({ items: [], next_cursor: null })]);
  const client = server.client();
  await client.api.GET("/api/v1/contacts", { params: { query: { id: ["a", "b"] } } });
  await client.api.DELETE("/api/v1/suppressions/{address}", { params: { path: { address: "a/b@c.example" } } });
  assert.deepEqual(
    server.requests.map((request) => request.path),
    ["/contacts?id=a&id=b", "/suppressions/a%2Fb%40c.example"],
  );
});

test("requests at the same time share one refresh", async () => {
  const changed: Session[] = [];
  const server = new Server([problem(401), problem(401), ok(TOKENS), ok({ items: [], next_cursor: null })]);
  const client = server.client(SESSION, (session) => changed.push(session));
  await Promise.all([client.api.GET("/api/v1/contacts"), client.api.GET("/api/v1/runs")]);
  const refreshes = server.requests.filter((request) => request.path === "/auth/refresh");
  assert.deepEqual([refreshes.length, changed.length, client.session?.accessToken], [1, 1, "second"]);
  assert.equal(server.requests.at(-1)?.headers.get("authorization"), "Bearer second");
});

test("a session that ended says so", async () => {
  await assert.rejects(new Server([problem(401)]).client().api.GET("/api/v1/contacts"), SignInNeeded);
  const unauthorized = new Server([problem(401)]).client({ accessToken: "first" });
  await assert.rejects(unauthorized.api.GET("/api/v1/contacts"), { status: 401 });
});

test("a write keeps its idempotency key in every attempt", async () => {
  const server = new Server([problem(502), new TypeError("fetch failed"), problem(503, { "retry-after": "0" }), ok({})]);
  await server.client().startRun("w", { people: 3 });
  const keys = new Set(server.requests.map((request) => request.headers.get("idempotency-key")));
  assert.deepEqual([server.requests.length, keys.size, keys.has(null)], [4, 1, false]);
  assert.deepEqual(new Set(server.requests.map((request) => request.body)), new Set(['{"inputs":{"people":3}}']));
});

test("a write without a key is not repeated after it may have worked", async () => {
  const server = new Server([new TypeError("fetch failed")]);
  const body = { email: "ada@people.example", role: "user" } as const;
  await assert.rejects(server.client().api.POST("/api/v1/members", { body }), TypeError);
  assert.equal(server.requests.length, 1);
});

test("a write whose first attempt is in progress waits for its answer", async () => {
  const server = new Server([problem(504), problem(409, { "retry-after": "0" }), ok({})]);
  await server.client().startRun("w");
  assert.equal(server.requests.length, 3);
  await assert.rejects(new Server([problem(409)]).client().startRun("w"), { status: 409 });
});

test("a refusal by the gateway is no proof that nothing happened", async () => {
  const server = new Server([problem(503)]);
  const body = { email: "ada@people.example", role: "user" } as const;
  await assert.rejects(server.client().api.POST("/api/v1/members", { body }), { status: 503 });
  assert.equal(server.requests.length, 1);
});

test("a throttled refresh is made again", async () => {
  const server = new Server([problem(401), problem(429, { "retry-after": "0" }), problem(401), ok(TOKENS), ok({ items: [] })]);
  const client = server.client();
  await client.api.GET("/api/v1/contacts");
  assert.equal(client.session?.accessToken, "second");
});

test("a sign-in elsewhere is recorded with the token, and a sign-in has none", async () => {
  const server = new Server([new Response(null, { status: 204 }), ok(TOKENS)]);
  const client = server.client();
  await client.api.POST("/api/v1/auth/sessions");
  await client.api.POST("/api/v1/auth/token", { body: { username: "ada", password: "p" } });
  const tokens = server.requests.map((request) => request.headers.get("authorization"));
  assert.deepEqual(tokens, ["Bearer first", null]);
});

test("versions have cursors that are numbers", async () => {
  const server = new Server([ok({ items: [3, 2], next_cursor: "2" }), ok({ items: [1], next_cursor: null })]);
  const client = server.client();
  const options = { path: { workflow_id: "w" } };
  const versions = client.iterate((query: { limit: number; cursor?: number }) =>
    client.api.GET("/api/v1/workflows/{workflow_id}/versions", { params: { ...options, query } }),
  );
  const found: unknown[] = [];
  for await (const version of versions) found.push(version);
  assert.deepEqual(found, [3, 2, 1]);
});

test("a pause that is too long is left to the caller", async () => {
  const server = new Server([problem(429, { "retry-after": "3600" })]);
  await assert.rejects(server.client().api.GET("/api/v1/contacts"), (error: ApiError) => {
    assert.deepEqual([error.status, error.code, error.retryAfter, error.requestId], [429, "c", 3600, "r"]);
    assert.deepEqual([...error.problems], [["/a", "m"]]);
    return true;
  });
  assert.equal(server.requests.length, 1);
});

test("a sign-in says what is missing", async () => {
  const code = { challenge: "totp", session: "s", username: "ada" };
  const options = { fetch: new Server([ok(code)]).fetch as typeof fetch };
  await assert.rejects(EmailSender.signIn(URL, "ada", "p", options), CodeNeeded);
  const server = new Server([ok(code), ok(TOKENS)]);
  const client = await EmailSender.signIn(URL, "ada", "p", { code: "123456", fetch: server.fetch as typeof fetch });
  assert.equal(client.session?.accessToken, "second");
  assert.deepEqual(JSON.parse(server.requests[1]?.body ?? ""), { username: "ada", session: "s", code: "123456" });
});

test("a wait ends with its signal", async () => {
  const server = new Server([ok({ id: "r", status: "running" })]);
  await assert.rejects(server.client().waitForRun("r", { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
});
