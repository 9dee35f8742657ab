"""Provider emulators over HTTP: WhatsApp Cloud API, SendGrid, Meta custom audiences, Slack.

Belongs here: what the outside world answers, accepts, limits and reports back. What does not: how
we send (`activations.channels`), what we do with reports (`activations.gateway`), how people react
(the demo). Nothing here is used in production, and it imports nothing of the sending side, so that
a mistake there is not repeated here.

Errors:
    SandboxConfigError: the sandbox was started with something impossible; mend the setting.
    ControlError: the control API was asked for something impossible; mend the caller.
    SandboxClientError: the client got no or a bad answer; see its text.
"""
