"""The door for what comes back: provider webhooks, unsubscribe links, counted redirects.

Belongs here: verifying, reading and landing inbound requests in the ledger. What does not: sending
(`activations.channels`), making links (`activations.links`), deciding what an opt-out means for a
journey (the warehouse). Each provider has a pure reader; only `landing` and `rejects` write.

Errors:
    ConfigurationError: a secret or key is missing or unreadable; the operator mends the setting.
    ServingError: see `activations.gateway.serving`.
"""
