import type { Problem } from "./schema.js";

/** The API answered with an error (RFC 9457). `requestId` finds the request in the logs. */
export class ApiError extends Error {
  readonly response: Response;
  readonly status: number;
  /** For programs. */
  readonly code: string;
  /** JSON pointers into the request's body, with a message each. */
  readonly problems: ReadonlyMap<string, string>;
  readonly requestId: string;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(response: Response, body: Partial<Problem>) {
    super(`${body.detail ?? response.statusText} (${response.status})`);
    this.name = "ApiError";
    this.response = response;
    this.status = response.status;
    this.code = body.code ?? "";
    this.problems = new Map((body.errors ?? []).map((error) => [error.pointer ?? "", error.message ?? ""]));
    this.requestId = body.request_id ?? response.headers.get("x-request-id") ?? "";
    this.retryAfter = secondsOf(response.headers.get("retry-after"));
  }

  static async of(response: Response): Promise<ApiError> {
    const text = await response.text();
    try {
      return new ApiError(response, JSON.parse(text) as Partial<Problem>);
    } catch {
      return new ApiError(response, { detail: text.slice(0, 300) || response.statusText });
    }
  }
}

/** There is no session, or it has ended. Sign in again. */
export class SignInNeeded extends Error {}

/** The account has a second factor. Sign in again with a code of the authenticator app. */
export class CodeNeeded extends Error {}

/** The password is that of an invitation. Choose one of your own in the console. */
export class NewPasswordNeeded extends Error {}

export function secondsOf(header: string | null): number | undefined {
  return header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
}
