import type { IExecuteFunctions, INodeExecutionData, INodeType, INodeTypeDescription } from 'n8n-workflow';
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';
import { OPERATIONS } from './operations';
import { properties } from './properties';

export class EmailSender implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Email Sender',
		name: 'emailSender',
		icon: { light: 'file:../../icons/email-sender.light.svg', dark: 'file:../../icons/email-sender.dark.svg' },
		group: ['output'],
		version: 1,
		subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
		description: 'Find people in a mail archive, write to them after an approval, and act on their answers',
		defaults: { name: 'Email Sender' },
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		usableAsTool: true,
		credentials: [{ name: 'emailSenderApi', required: true }],
		properties,
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const results: INodeExecutionData[] = [];
		const name = `${this.getNodeParameter('resource', 0)}.${this.getNodeParameter('operation', 0)}`;
		const operation = OPERATIONS[name];
		if (operation === undefined) throw new NodeOperationError(this.getNode(), `There is no operation ${name}.`);
		for (const item of this.getInputData().keys()) {
			try {
				const found = await operation(this, item);
				results.push(...found.map((json) => ({ json, pairedItem: { item } })));
			} catch (error) {
				if (!this.continueOnFail()) throw new NodeOperationError(this.getNode(), error as Error, { itemIndex: item });
				results.push({ json: { error: (error as Error).message }, pairedItem: { item } });
			}
		}
		return [results];
	}
}
