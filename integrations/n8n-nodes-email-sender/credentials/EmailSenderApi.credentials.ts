import type {
	IAuthenticateGeneric,
	ICredentialDataDecryptedObject,
	ICredentialTestRequest,
	ICredentialType,
	Icon,
	IHttpRequestHelper,
	INodeProperties,
} from 'n8n-workflow';

export class EmailSenderApi implements ICredentialType {
	name = 'emailSenderApi';

	displayName = 'Email Sender API';

	icon: Icon = { light: 'file:../icons/email-sender.light.svg', dark: 'file:../icons/email-sender.dark.svg' };

	documentationUrl = 'https://email-sender.example/integrations/n8n';

	properties: INodeProperties[] = [
		{
			// n8n fetches a token when there is none, and again when it has expired.
			displayName: 'Access Token',
			name: 'accessToken',
			type: 'hidden',
			typeOptions: { expirable: true, password: true },
			default: '',
		},
		{
			displayName: 'URL',
			name: 'url',
			type: 'string',
			default: '',
			placeholder: 'https://mail.example.com',
			description: 'Where Email Sender runs',
			required: true,
		},
		{
			displayName: 'User',
			name: 'username',
			type: 'string',
			default: '',
			description: 'A member without a second factor. Triggers and waits need an admin, because they add webhooks.',
			required: true,
		},
		{
			displayName: 'Password',
			name: 'password',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
		},
	];

	async preAuthentication(this: IHttpRequestHelper, credentials: ICredentialDataDecryptedObject) {
		const answer = (await this.helpers.httpRequest({
			method: 'POST',
			url: `${String(credentials.url).replace(/\/+$/, '')}/api/v1/auth/token`,
			body: { username: credentials.username, password: credentials.password },
			json: true,
		})) as { access_token?: string };
		if (answer.access_token === undefined) {
			throw new Error('This account needs a second factor or a new password. Use a member without a second factor.');
		}
		return { accessToken: answer.access_token };
	}

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { authorization: '=Bearer {{$credentials.accessToken}}' } },
	};

	test: ICredentialTestRequest = {
		request: { baseURL: "={{$credentials.url.replace(/\\/+$/, '')}}/api/v1", url: '/tenants/me' },
	};
}
