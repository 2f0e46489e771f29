// Mail that the platform received, in the shapes that n8n's triggers of mailboxes give.

/** Each item with the id of a mail becomes that mail. Others, of runs that somebody started, stay as they are. */
export function receivedMailNode(call) {
  const named = call.items.filter(({ json }) => isId(json.id));
  const answers = named.length > 0 ? call.send(named.map(({ json }) => ({ mail: { id: json.id } }))) : [];
  const mails = new Map(named.map((item, index) => [item, answers[index].mail]));
  const shape = SHAPES[call.param("kind", 0, "gmailTrigger")];
  return [
    call.items.map((item, index) => {
      const mail = mails.get(item);
      const json = mail ? { ...shape(call, item.json, mail), ...item.json } : item.json;
      return call.keep({ ...item, json }, index);
    }),
  ];
}

const isId = (value) => typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);

const SHAPES = {
  gmailTrigger: (call, event, mail) =>
    call.param("simple", 0, true) === false
      ? { ...parsed(event, mail), threadId: mail.thread_id, labelIds: ["INBOX"] }
      : {
          threadId: mail.thread_id,
          snippet: mail.text.slice(0, 200),
          payload: { mimeType: "text/plain" },
          internalDate: String(Date.parse(event.date)),
          labels: [{ id: "INBOX", name: "INBOX" }],
          From: written(mail.from),
          Subject: mail.subject,
          // n8n's short form has no text; what follows needs it all the same.
          text: mail.text,
        },
  emailReadImap: (call, event, mail) =>
    call.param("format", 0, "simple") === "simple"
      ? {
          textPlain: mail.text,
          textHtml: "",
          metadata: { "message-id": mail.message_id },
          from: written(mail.from),
          subject: mail.subject,
          date: event.date,
        }
      : parsed(event, mail),
  microsoftOutlookTrigger: (call, event, mail) =>
    call.param("output", 0, "simple") === "simple"
      ? {
          conversationId: mail.thread_id,
          subject: mail.subject,
          bodyPreview: mail.text.slice(0, 255),
          from: mail.from.address,
          hasAttachments: false,
          // n8n's short form has no text; what follows needs it all the same.
          text: mail.text,
        }
      : {
          conversationId: mail.thread_id,
          internetMessageId: mail.message_id,
          subject: mail.subject,
          bodyPreview: mail.text.slice(0, 255),
          body: { contentType: "text", content: mail.text },
          from: { emailAddress: mail.from },
          receivedDateTime: event.date,
          hasAttachments: false,
        },
};

function parsed(event, mail) {
  const text = written(mail.from);
  return {
    headers: { subject: `Subject: ${mail.subject}`, from: `From: ${text}`, "message-id": `Message-ID: ${mail.message_id}` },
    html: "",
    text: mail.text,
    textAsHtml: `<p>${escaped(mail.text).replaceAll("\n", "<br/>")}</p>`,
    subject: mail.subject,
    date: event.date,
    from: { value: [mail.from], html: escaped(text), text },
    messageId: mail.message_id,
  };
}

const written = ({ name, address }) => (name ? `${name} <${address}>` : address);

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
