import { createHmac, timingSafeEqual } from 'node:crypto';

/** Older and newer requests are repetitions by somebody else. */
const TOLERANCE_SECONDS = 300;

/**
 * Whether a request is signed with the secret (Standard Webhooks). `headers` have lower-case names; after a change of the
 * secret, there are several signatures.
 */
export function isSigned(
	secret: string,
	headers: Record<string, string | string[] | undefined>,
	body: string | Buffer,
	now: number = Date.now(),
): boolean {
	const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => headers[name]);
	if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') return false;
	const age = now / 1000 - Number(timestamp);
	if (!/^\d+$/.test(timestamp) || Math.abs(age) > TOLERANCE_SECONDS) return false;
	const expected = createHmac('sha256', Buffer.from(secret.replace(/^whsec_/, ''), 'base64'))
		.update(`${id}.${timestamp}.`)
		.update(body)
		.digest();
	return signatures.split(' ').some((signature) => {
		const [version, value] = signature.split(',');
		const given = Buffer.from(value ?? '', 'base64');
		return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
	});
}
