"""Why emails were not sent. It imports nothing: pages that only show a reason load fast."""

# Why an email was rejected whose draft the approver left out. Another draft to the contact may still be sent.
LEFT_OUT = "not sent: the approver left it out"
