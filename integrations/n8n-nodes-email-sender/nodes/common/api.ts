import type {
	IDataObject,
	IExecuteFunctions,
	IHookFunctions,
	IHttpRequestMethods,
	IWebhookFunctions,
	JsonObject,
} from 'n8n-workflow';
import { NodeApiError } from 'n8n-workflow';

type Context = IExecuteFunctions | IHookFunctions | IWebhookFunctions;

/** Make a request in the name of the credential's user. `path` is below /api/v1. */
export async function request(
	context: Context,
	method: IHttpRequestMethods,
	path: string,
	{ body, qs, key }: { body?: IDataObject; qs?: IDataObject; key?: string } = {},
): Promise<IDataObject> {
	const { url } = await context.getCredentials<{ url: string }>('emailSenderApi');
	try {
		return (await context.helpers.httpRequestWithAuthentication.call(context, 'emailSenderApi', {
			method,
			url: `${url.replace(/\/+$/, '')}/api/v1${path}`,
			json: true,
			arrayFormat: 'repeat',
			...(body === undefined ? {} : { body }),
			...(qs === undefined ? {} : { qs }),
			...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
		})) as IDataObject;
	} catch (error) {
		throw new NodeApiError(context.getNode(), error as JsonObject);
	}
}
