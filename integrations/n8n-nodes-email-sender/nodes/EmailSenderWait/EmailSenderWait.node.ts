import type {
	IDataObject,
	IExecuteFunctions,
	INodeExecutionData,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';
import { request } from '../common/api';
import { addWebhook, listWebhooks, removeWebhook } from '../common/webhooks';

const HOUR = 3_600_000;

// Each execution registers a webhook of its own in `execute`: n8n never registers the URLs that resume executions.
// eslint-disable-next-line @n8n/community-nodes/webhook-lifecycle-complete
export class EmailSenderWait implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Email Sender: Wait for Answer',
		name: 'emailSenderWait',
		icon: { light: 'file:../../icons/email-sender.light.svg', dark: 'file:../../icons/email-sender.dark.svg' },
		group: ['organization'],
		version: 1,
		subtitle: '={{$parameter["event"] === "answer" ? "for an answer" : "for the end of a run"}}',
		description: 'Pauses the execution until somebody answers an email of a run, or until a run ends',
		defaults: { name: 'Wait for Answer' },
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'emailSenderApi', required: true }],
		webhooks: [
			{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: '', restartWebhook: true, isFullPath: true },
		],
		properties: [
			{
				displayName: 'Event',
				name: 'event',
				type: 'options',
				noDataExpression: true,
				default: 'answer',
				options: [
					{ name: 'Answer', value: 'answer', description: 'A contact answers an email of the run' },
					{ name: 'End of a Run', value: 'run' },
				],
			},
			{
				displayName: 'Run ID',
				name: 'runId',
				type: 'string',
				default: '={{ $json.id }}',
				required: true,
			},
			{
				displayName: 'Email ID',
				name: 'emailId',
				type: 'string',
				default: '',
				description: 'Only an answer to this email; otherwise to any email of the run',
				displayOptions: { show: { event: ['answer'] } },
			},
			{
				displayName: 'Hours',
				name: 'hours',
				type: 'number',
				typeOptions: { minValue: 0.01 },
				default: 96,
				description: 'How long to wait at most. Then the execution goes on with the items that came in.',
			},
		],
		// An agent cannot wait for days. n8n's linter asks for the property.
		usableAsTool: undefined,
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const isAnswer = this.getNodeParameter('event', 0) === 'answer';
		const types = typesOf(isAnswer);
		const runId = this.getNodeParameter('runId', 0) as string;
		const emailId = isAnswer ? (this.getNodeParameter('emailId', 0) as string) : '';
		const others = this.getInputData().filter((_, item) => this.getNodeParameter('runId', item) !== runId);
		if (others.length > 0) {
			const message = 'The items are of several runs, and an execution can wait for one. Loop over the items.';
			throw new NodeOperationError(this.getNode(), message);
		}
		const until = Date.now() + (this.getNodeParameter('hours', 0) as number) * HOUR;
		// The URL has a token that n8n checks. (getSignedResumeUrl signs for nodes with the operation "sendAndWait" only.)
		const url = new URL(this.evaluateExpression('{{ $execution.resumeUrl }}', 0) as string);
		// A node's static data is not there when a webhook resumes the execution, so that the URL holds what to expect.
		url.searchParams.set('run', runId);
		url.searchParams.set('email', emailId);
		url.searchParams.set('until', String(until));
		await removeExpired(this, url.origin);
		const webhook = await addWebhook(this, url.toString(), types);
		// What happened before the webhook was there is never posted.
		const happened = await findEvent(this, types, runId, emailId);
		if (happened !== undefined) {
			await removeWebhook(this, webhook.id);
			return [this.helpers.returnJsonArray(happened)];
		}
		await this.putExecutionToWait(new Date(until));
		return [this.getInputData()];
	}

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const { run, email } = this.getQueryData() as { run: string; email: string };
		const data = (this.getBodyData().data ?? {}) as IDataObject;
		if (data.run_id !== run || (email !== '' && data.email_id !== email)) {
			// It is about another run: the execution keeps waiting.
			return { webhookResponse: 'Another run' };
		}
		// Only the platform was told the URL with its token. What happened is asked all the same.
		const event = await findEvent(this, typesOf(this.getNodeParameter('event') === 'answer'), run, email);
		if (event === undefined) {
			// The platform posts again in a minute, when it lists the event too.
			this.getResponseObject().status(404).json({ message: 'There is no such event yet.' });
			return { noWebhookResponse: true };
		}
		const { originalUrl } = this.getRequestObject();
		for (const webhook of await listWebhooks(this)) {
			if (webhook.url.endsWith(originalUrl)) await removeWebhook(this, webhook.id);
		}
		return { workflowData: [this.helpers.returnJsonArray(event)] };
	}
}

function typesOf(isAnswer: boolean): string[] {
	return isAnswer ? ['email.replied'] : ['run.succeeded', 'run.failed', 'run.cancelled'];
}

/** Return the event that was waited for, as the platform posts it, if it happened. */
async function findEvent(
	context: IExecuteFunctions | IWebhookFunctions,
	types: string[],
	runId: string,
	emailId: string,
): Promise<IDataObject | undefined> {
	for (const type of types) {
		const { items } = await request(context, 'GET', '/events', { qs: { type, correlation_id: runId, limit: 200 } });
		for (const { id, source, occurred_at, correlation_id, payload } of items as IDataObject[]) {
			const data = ((payload as IDataObject).data ?? {}) as IDataObject;
			if (emailId === '' || data.email_id === emailId) {
				return { type, timestamp: occurred_at, data, id, source, correlation_id };
			}
		}
	}
	return undefined;
}

/** Remove the webhooks of executions of this n8n whose time ran out: nobody else does. */
async function removeExpired(context: IExecuteFunctions, origin: string): Promise<void> {
	for (const webhook of await listWebhooks(context)) {
		const url = new URL(webhook.url);
		const until = Number(url.searchParams.get('until') ?? Infinity);
		const isWait = url.origin === origin && url.pathname.includes('/webhook-waiting/');
		if (isWait && until < Date.now() - HOUR) await removeWebhook(context, webhook.id);
	}
}
