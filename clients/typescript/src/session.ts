import { ApiError, SignInNeeded } from "./errors.js";
import type { Tokens } from "./schema.js";

// A token that is about to expire is refreshed first.
const MARGIN_MS = 30_000;

/** Whoever has the tokens is signed in: store them like a password. `expiresAt` is in milliseconds since 1970. */
export interface Session {
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly expiresAt?: number;
}

export function sessionOf(tokens: Tokens): Session {
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token,
    expiresAt: Date.now() + tokens.expires_in * 1000,
  };
}

/** Holds the session, and refreshes it; requests at the same time share one refresh. */
export class SessionHolder {
  private refreshing: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly fetch: (request: Request) => Promise<Response>,
    public session: Session,
    private readonly changed: (session: Session) => void,
  ) {}

  /** Return an access token. `rejected` is one that the platform did not accept. */
  async token(rejected?: string): Promise<string> {
    const { accessToken, refreshToken, expiresAt } = this.session;
    const ending = expiresAt !== undefined && Date.now() > expiresAt - MARGIN_MS;
    if (refreshToken !== undefined && (ending || rejected === accessToken)) {
      this.refreshing ??= this.refresh(refreshToken).finally(() => (this.refreshing = undefined));
      await this.refreshing;
    }
    return this.session.accessToken;
  }

  private async refresh(refreshToken: string): Promise<void> {
    const response = await this.fetch(
      new Request(`${this.url}/api/v1/auth/refresh`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ refresh_token: refreshToken }),
      }),
    );
    if (response.status === 400 || response.status === 401) {
      throw new SignInNeeded("The session has ended. Sign in again.");
    }
    if (!response.ok) throw await ApiError.of(response);
    this.session = sessionOf((await response.json()) as Tokens);
    this.changed(this.session);
  }
}
