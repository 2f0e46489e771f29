import type { IDataObject, IExecuteFunctions } from 'n8n-workflow';
import { request } from '../common/api';

/** Does one operation for one item, and returns the items that come out. */
type Operation = (context: IExecuteFunctions, item: number) => Promise<IDataObject[]>;

const PAGE = 200;

async function findPeople(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const body = {
		collection: 'message_vectors',
		text: context.getNodeParameter('question', item),
		group_by: 'contact',
		limit: context.getNodeParameter('limit', item),
	};
	const found = await request(context, 'POST', '/vectors/search', { body });
	const groups = (found.groups ?? []) as IDataObject[];
	if (groups.length === 0) return [];
	const qs = { id: groups.map((group) => String(group.key)), limit: groups.length };
	const { items } = await request(context, 'GET', '/contacts', { qs });
	const contacts = new Map((items as IDataObject[]).map((contact) => [contact.id, contact]));
	return groups.flatMap(({ key, score, reason, hits }) => {
		const contact = contacts.get(String(key));
		return contact === undefined ? [] : [{ ...contact, score, reason, messages: hits }];
	});
}

async function startRun(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const workflow = encodeURIComponent(context.getNodeParameter('workflowId', item) as string);
	const inputs = context.getNodeParameter('inputs', item);
	const body = { inputs: typeof inputs === 'string' ? (JSON.parse(inputs || '{}') as IDataObject) : inputs };
	// n8n's "Retry On Fail" repeats the node in one pass: a pass starts one run for an item. Each pass of a loop is a new one.
	const pass = context.evaluateExpression('{{ $runIndex }}', item) as number;
	const key = `n8n-${context.getWorkflow().id}-${context.getExecutionId()}-${context.getNode().id}-${pass}-${item}`;
	return [await request(context, 'POST', `/workflows/${workflow}/execute`, { body: body as IDataObject, key })];
}

async function getRun(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const run = encodeURIComponent(context.getNodeParameter('runId', item) as string);
	return [await request(context, 'GET', `/runs/${run}`)];
}

async function listApprovals(context: IExecuteFunctions): Promise<IDataObject[]> {
	const found: IDataObject[] = [];
	let cursor: unknown;
	do {
		const qs: IDataObject = { status: 'pending', limit: PAGE, ...(cursor ? { cursor: cursor as string } : {}) };
		const page = await request(context, 'GET', '/approvals', { qs });
		found.push(...(page.items as IDataObject[]));
		cursor = page.next_cursor;
	} while (cursor);
	return found;
}

async function decideApproval(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const approval = encodeURIComponent(context.getNodeParameter('approvalId', item) as string);
	const comment = context.getNodeParameter('comment', item) as string;
	const body: IDataObject = {
		decision: context.getNodeParameter('decision', item),
		comment: comment || null,
		seen: seenDrafts(context.getInputData()[item]?.json, approval),
	};
	return [await request(context, 'POST', `/approvals/${approval}`, { body })];
}

/** If the item is the approval that somebody looked at, only the drafts as they were then are approved. */
function seenDrafts(json: IDataObject | undefined, approval: string): IDataObject | null {
	if (json?.id !== approval || !Array.isArray(json.drafts)) return null;
	return Object.fromEntries((json.drafts as IDataObject[]).map((draft) => [draft.draft_id, draft.sha256]));
}

async function searchVectors(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const body = {
		collection: context.getNodeParameter('collection', item),
		text: context.getNodeParameter('text', item),
		limit: context.getNodeParameter('limit', item),
	};
	const { results } = await request(context, 'POST', '/vectors/search', { body });
	return (results ?? []) as IDataObject[];
}

/** By resource and operation. */
export const OPERATIONS: Record<string, Operation> = {
	'person.find': findPeople,
	'run.start': startRun,
	'run.get': getRun,
	'approval.getAll': listApprovals,
	'approval.decide': decideApproval,
	'vector.search': searchVectors,
};
