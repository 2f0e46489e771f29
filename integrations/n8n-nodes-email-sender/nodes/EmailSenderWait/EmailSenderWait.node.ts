import type {
	IDataObject,
	IExecuteFunctions,
	INodeExecutionData,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes } from 'n8n-workflow';
import { addWebhook, postedEvent, removeWebhook, type Webhook } from '../shared/webhooks';

interface Waiting extends IDataObject {
	webhook: Webhook;
	runId: string;
	emailId: string;
	/** Milliseconds since 1970. */
	until: number;
}

const RUN_ENDED = ['run.succeeded', 'run.failed', 'run.cancelled'];
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
		description: 'Pauses the execution until somebody answers an email, or until a run ends',
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
		usableAsTool: undefined,
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const waits = this.getWorkflowStaticData('node') as Record<string, Waiting>;
		for (const [execution, { webhook, until }] of Object.entries(waits)) {
			// Nobody removed the webhooks of executions whose time ran out.
			if (until < Date.now() - HOUR) {
				await removeWebhook(this, webhook.id);
				delete waits[execution];
			}
		}
		const isAnswer = this.getNodeParameter('event', 0) === 'answer';
		const until = Date.now() + (this.getNodeParameter('hours', 0) as number) * HOUR;
		const url = this.getSignedResumeUrl();
		waits[this.getExecutionId()] = {
			webhook: await addWebhook(this, url, isAnswer ? ['email.replied'] : RUN_ENDED),
			runId: this.getNodeParameter('runId', 0) as string,
			emailId: isAnswer ? (this.getNodeParameter('emailId', 0) as string) : '',
			until,
		};
		await this.putExecutionToWait(new Date(until));
		return [this.getInputData()];
	}

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const waits = this.getWorkflowStaticData('node') as Record<string, Waiting>;
		const execution = String(this.evaluateExpression('{{ $execution.id }}'));
		const waiting = waits[execution];
		const event = waiting && postedEvent(this, waiting.webhook.secret);
		if (event === undefined) {
			this.getResponseObject().status(401).json({ message: 'The signature is not valid.' });
			return { noWebhookResponse: true };
		}
		const data = (event.data ?? {}) as IDataObject;
		if (data.run_id !== waiting.runId || (waiting.emailId !== '' && data.email_id !== waiting.emailId)) {
			// It is about another run: the execution keeps waiting.
			return { webhookResponse: 'Another run' };
		}
		await removeWebhook(this, waiting.webhook.id);
		delete waits[execution];
		return { workflowData: [this.helpers.returnJsonArray(event)] };
	}
}
