import createClient, { type Client } from "openapi-fetch";
import { ApiError, CodeNeeded, NewPasswordNeeded } from "./errors.js";
import { ANONYMOUS, IDEMPOTENT } from "./operations.js";
import { pauseBeforeRetry } from "./retries.js";
import type { Contact, Group, paths, Run, RunDetail, Tokens, VectorsImport } from "./schema.js";
import { type Session, SessionHolder, sessionOf } from "./session.js";

export { ApiError, CodeNeeded, NewPasswordNeeded, SignInNeeded } from "./errors.js";
export type * from "./schema.js";
export type { Session } from "./session.js";

export interface Options {
  /** Of a person who signed in before. */
  session?: Session;
  /** Gets each new session, for example to store it. */
  sessionChanged?: (session: Session) => void;
  fetch?: typeof globalThis.fetch;
}

export interface Waiting {
  /** How long to wait at most; an hour by default. */
  seconds?: number;
  /** Return as soon as the run waits for a person or a time. */
  untilWaiting?: boolean;
  signal?: AbortSignal;
}

const RUN_ENDED = new Set(["succeeded", "failed", "cancelled", "timed_out"]);
const IMPORT_ENDED = new Set(["completed", "failed"]);
const POLL_MS = 1000;
const PAGE = 200;

/**
 * A client of the platform. `api` has every operation with its types; the methods do what takes several of them.
 *
 * Requests that were refused (429), and failed ones that have no second effect, are repeated up to four times. Writes have an
 * idempotency key if the API takes one. An answer that is an error is thrown as `ApiError`.
 */
export class EmailSender {
  /** Every operation: `api.GET("/api/v1/runs/{run_id}", { params: { path: { run_id } } })`. */
  readonly api: Client<paths>;
  private readonly url: string;
  private readonly fetch: (request: Request) => Promise<Response>;
  private readonly holder: SessionHolder | undefined;
  // Requests of operations that need no token.
  private readonly anonymous = new WeakSet<Request>();

  /** `url` is where the platform runs, such as https://mail.example.com. */
  constructor(url: string, { session, sessionChanged = () => {}, fetch = globalThis.fetch }: Options = {}) {
    this.url = url.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
    this.fetch = (request) => fetch(request);
    this.holder = session && new SessionHolder(this.url, this.fetch, session, sessionChanged);
    this.api = createClient<paths>({ baseUrl: this.url, fetch: (request) => this.send(request) });
    this.api.use({
      onRequest: ({ request, schemaPath }) => {
        const operation = `${request.method} ${schemaPath}`;
        if (ANONYMOUS.has(operation)) this.anonymous.add(request);
        if (IDEMPOTENT.has(operation) && !request.headers.has("idempotency-key")) {
          request.headers.set("idempotency-key", crypto.randomUUID());
        }
        return request;
      },
    });
  }

  /** Return a client that is signed in. `code` is that of the authenticator app, if the account has one. */
  static async signIn(
    url: string,
    username: string,
    password: string,
    { code, ...options }: Options & { code?: string } = {},
  ): Promise<EmailSender> {
    const anonymous = new EmailSender(url, options);
    let { data } = await anonymous.api.POST("/api/v1/auth/token", { body: { username, password } });
    if (data !== undefined && "challenge" in data && data.challenge === "totp" && code !== undefined) {
      const answer = { username: data.username, session: data.session, code };
      ({ data } = await anonymous.api.POST("/api/v1/auth/totp", { body: answer }));
    }
    if (data !== undefined && "challenge" in data) {
      if (data.challenge === "totp") throw new CodeNeeded("A code of the authenticator app is needed.");
      throw new NewPasswordNeeded("The password is that of an invitation. Choose one of your own in the console.");
    }
    return new EmailSender(url, { ...options, session: sessionOf(data as Tokens) });
  }

  get session(): Session | undefined {
    return this.holder?.session;
  }

  /** Return the people that a question finds, the best first, each with the messages that matched. */
  async findPeople(question: string, limit = 10): Promise<{ contact: Contact; group: Group }[]> {
    const body = { collection: "message_vectors", text: question, group_by: "contact", limit };
    const { data } = await this.api.POST("/api/v1/vectors/search", { body });
    const groups = new Map((data?.groups ?? []).map((group) => [String(group.key), group]));
    if (groups.size === 0) return [];
    const query = { id: [...groups.keys()], limit: groups.size };
    const { data: page } = await this.api.GET("/api/v1/contacts", { params: { query } });
    const contacts = new Map((page?.items ?? []).map((contact) => [contact.id, contact]));
    return [...groups].flatMap(([key, group]) => {
      const contact = contacts.get(key);
      return contact === undefined ? [] : [{ contact, group }];
    });
  }

  /** Start a run of the newest version of a workflow. */
  async startRun(workflowId: string, inputs: Record<string, unknown> = {}, idempotencyKey?: string): Promise<Run> {
    const { data } = await this.api.POST("/api/v1/workflows/{workflow_id}/execute", {
      params: {
        path: { workflow_id: workflowId },
        header: idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey },
      },
      body: { inputs },
    });
    return data as Run;
  }

  /** Wait until a run ends. */
  async waitForRun(runId: string, { seconds = 3600, untilWaiting = false, signal }: Waiting = {}): Promise<RunDetail> {
    return this.poll(seconds, signal, `The run ${runId}`, async () => {
      const { data } = await this.api.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: runId } } });
      const run = data as RunDetail;
      return RUN_ENDED.has(run.status) || (untilWaiting && run.status === "waiting") ? run : undefined;
    });
  }

  /** Upload a mailbox (mbox), and return the id of its import. */
  async uploadMailbox(fileName: string, content: Blob): Promise<string> {
    const body = { file_name: fileName, size_bytes: content.size };
    const { data } = await this.api.POST("/api/v1/vectors/imports", { body });
    const created = data as { job_id: string; upload: { url: string } };
    const response = await this.fetch(new Request(created.upload.url, { method: "PUT", body: content }));
    if (!response.ok) throw await ApiError.of(response);
    return created.job_id;
  }

  /** Wait until an import ends. */
  async waitForImport(importId: string, { seconds = 3600, signal }: Waiting = {}): Promise<VectorsImport> {
    return this.poll(seconds, signal, `The import ${importId}`, async () => {
      const options = { params: { path: { import_id: importId } } };
      const { data } = await this.api.GET("/api/v1/vectors/imports/{import_id}", options);
      const state = data as VectorsImport;
      return IMPORT_ENDED.has(state.status) ? state : undefined;
    });
  }

  /** Yield the items of all pages: `iterate((cursor) => client.api.GET("/api/v1/contacts", { params: … cursor … }))`. */
  async *iterate<Item, Cursor extends string | number = string>(
    read: (query: { limit: number; cursor?: Cursor }) => Promise<{
      data?: { items: Item[]; next_cursor?: string | null };
    }>,
  ): AsyncGenerator<Item, void, undefined> {
    let cursor: string | null | undefined;
    do {
      const { data } = await read(cursor == null ? { limit: PAGE } : { limit: PAGE, cursor: cursor as Cursor });
      yield* data?.items ?? [];
      cursor = data?.next_cursor;
    } while (cursor != null);
  }

  private async poll<T>(
    seconds: number,
    signal: AbortSignal | undefined,
    what: string,
    look: () => Promise<T | undefined>,
  ): Promise<T> {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`${what} did not end within ${seconds} s.`);
      await pause(POLL_MS, signal);
    }
  }

  private async send(request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let response: Response | undefined;
      let failure: unknown;
      try {
        // A request's body can be read once, so that each attempt has a copy.
        response = this.anonymous.has(request) ? await this.fetch(request.clone()) : await this.sendSignedIn(request.clone());
        if (response.ok) return response;
      } catch (error) {
        // fetch reports a failed connection as a TypeError, and a refresh that failed is an ApiError; the rest is final.
        if (error instanceof ApiError) response = error.response;
        else if (!(error instanceof TypeError)) throw error;
        failure = error;
      }
      const wait = pauseBeforeRetry(request, attempt, response);
      if (wait === undefined) throw failure ?? (await ApiError.of(response as Response));
      // Not awaited: a body that somebody else reads too is never cancelled.
      response?.body?.cancel().catch(() => {});
      await pause(wait, request.signal);
    }
  }

  private async sendSignedIn(request: Request): Promise<Response> {
    if (this.holder === undefined) return this.fetch(request);
    const again = request.clone();
    const token = await this.holder.token();
    request.headers.set("authorization", `Bearer ${token}`);
    const response = await this.fetch(request);
    if (response.status !== 401 || this.holder.session.refreshToken === undefined) return response;
    again.headers.set("authorization", `Bearer ${await this.holder.token(token)}`);
    return this.fetch(again);
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
