import type {
	IHookFunctions,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes } from 'n8n-workflow';
import { addWebhook, listWebhooks, postedEvent, removeWebhook } from '../common/webhooks';

export class EmailSenderTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Email Sender Trigger',
		name: 'emailSenderTrigger',
		icon: { light: 'file:../../icons/email-sender.light.svg', dark: 'file:../../icons/email-sender.dark.svg' },
		group: ['trigger'],
		version: 1,
		subtitle: '={{$parameter["types"].join(", ")}}',
		description: 'Starts the workflow when somebody answers, an email bounces, a run ends, and so on',
		defaults: { name: 'Email Sender Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'emailSenderApi', required: true }],
		webhooks: [{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'webhook' }],
		properties: [
			{
				displayName: 'Events',
				name: 'types',
				type: 'multiOptions',
				default: ['email.replied'],
				options: [
					{ name: 'Approval Decided', value: 'approval.decided' },
					{ name: 'Approval Requested', value: 'approval.requested' },
					{ name: 'Contact Unsubscribed', value: 'contact.unsubscribed' },
					{ name: 'Email Answered', value: 'email.replied' },
					{ name: 'Email Bounced', value: 'email.bounced' },
					{ name: 'Email Complained', value: 'email.complained' },
					{ name: 'Email Delivered', value: 'email.delivered' },
					{ name: 'Email Sent', value: 'email.sent' },
					{ name: 'Import Completed', value: 'vectors.import.completed' },
					{ name: 'Message Received', value: 'message.received' },
					{ name: 'Run Failed', value: 'run.failed' },
					{ name: 'Run Succeeded', value: 'run.succeeded' },
				],
			},
			{
				displayName: 'Other Events',
				name: 'otherTypes',
				type: 'string',
				default: '',
				placeholder: 'LeadCreated, email.*',
				description: 'More types, separated by commas, such as those of your own application',
			},
		],
	};

	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				const { id } = this.getWorkflowStaticData('node');
				if (id === undefined) return false;
				const webhook = (await listWebhooks(this)).find((item) => item.id === id);
				return webhook !== undefined && webhook.url === this.getNodeWebhookUrl('default');
			},
			async create(this: IHookFunctions): Promise<boolean> {
				const other = (this.getNodeParameter('otherTypes') as string).split(',').map((type) => type.trim());
				const types = [...(this.getNodeParameter('types') as string[]), ...other.filter(Boolean)];
				const webhook = await addWebhook(this, this.getNodeWebhookUrl('default') as string, types);
				Object.assign(this.getWorkflowStaticData('node'), webhook);
				return true;
			},
			async delete(this: IHookFunctions): Promise<boolean> {
				const data = this.getWorkflowStaticData('node');
				if (data.id !== undefined) await removeWebhook(this, data.id as string);
				delete data.id;
				delete data.secret;
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const { secret } = this.getWorkflowStaticData('node');
		const event = secret === undefined ? undefined : postedEvent(this, secret as string);
		if (event === undefined) {
			this.getResponseObject().status(401).json({ message: 'The signature is not valid.' });
			return { noWebhookResponse: true };
		}
		return { workflowData: [this.helpers.returnJsonArray(event)] };
	}
}
