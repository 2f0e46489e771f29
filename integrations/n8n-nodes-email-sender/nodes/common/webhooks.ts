import type { IDataObject, IExecuteFunctions, IHookFunctions, IWebhookFunctions, JsonObject } from 'n8n-workflow';
import { NodeApiError } from 'n8n-workflow';
import { request } from './api';
import { isSigned } from './signature';

export interface Webhook extends IDataObject {
	id: string;
	secret: string;
}

/** Let the platform post events to a URL of this n8n. */
export async function addWebhook(
	context: IExecuteFunctions | IHookFunctions,
	url: string,
	types: string[],
): Promise<Webhook> {
	const created = await request(context, 'POST', '/webhooks', { body: { url, types } });
	return { id: created.id as string, secret: created.secret as string };
}

/** Return the webhooks of the tenant. */
export async function listWebhooks(
	context: IExecuteFunctions | IHookFunctions | IWebhookFunctions,
): Promise<{ id: string; url: string }[]> {
	const { items } = await request(context, 'GET', '/webhooks');
	return items as { id: string; url: string }[];
}

/** Remove a webhook. One that is gone already is fine. */
export async function removeWebhook(
	context: IExecuteFunctions | IHookFunctions | IWebhookFunctions,
	id: string,
): Promise<void> {
	try {
		await request(context, 'DELETE', `/webhooks/${id}`);
	} catch (error) {
		if ((error as NodeApiError).httpCode !== '404') throw new NodeApiError(context.getNode(), error as JsonObject);
	}
}

/** Return the event that was posted, or undefined if the request is not from the platform. */
export function postedEvent(context: IWebhookFunctions, secret: string): IDataObject | undefined {
	const { rawBody } = context.getRequestObject() as unknown as { rawBody?: Buffer };
	const headers = context.getHeaderData() as Record<string, string | string[] | undefined>;
	return rawBody !== undefined && isSigned(secret, headers, rawBody) ? context.getBodyData() : undefined;
}
