"""Every error this package raises on purpose.

::

    ActivationError
    ├── ConfigurationError      the operator mends a setting; a retry does not help
    │   ├── UnknownChannelError     a channel or audience destination nobody registered
    │   └── TemplateError           the template's author mends the file
    ├── VolumeError             the operator looks and confirms; a retry does not help
    ├── LedgerError             the ledger refused
    │   ├── LedgerUnavailableError  locked or unreachable: a later retry helps
    │   └── LedgerStateError        a caller broke the order plan, claim, settle: a bug, mend it
    ├── RowError                this one row cannot be sent; its data or template must change
    │   ├── InvalidAddressError
    │   └── RenderError
    ├── TransportError          talking to a provider failed
    │   ├── NotSentError            nothing left this machine: a retry is safe and helps
    │   └── AnswerLostError         the body was sent and no answer came: never retry blindly
    ├── AudienceError           an audience destination refused a whole call
    └── TokenError              a signed link was cut, forged or made with another secret

No message carries a phone number, an e-mail address, a token or a key.
"""

from __future__ import annotations


class ActivationError(Exception):
    """Anything that went wrong in this package on purpose."""


class ConfigurationError(ActivationError):
    """A setting is missing, unknown or contradicts another: the operator mends it."""


class UnknownChannelError(ConfigurationError):
    """No channel or audience destination is registered under this name."""


class TemplateError(ConfigurationError):
    """A template file is wrong: its author mends it. Found when templates are loaded."""


class VolumeError(ActivationError):
    """A run wants to send more than its absolute maximum: somebody must look before it goes on."""


class LedgerError(ActivationError):
    """The ledger refused an operation."""


class LedgerUnavailableError(LedgerError):
    """The ledger's database is locked or cannot be reached: a later retry helps."""


class LedgerStateError(LedgerError):
    """A caller broke the order plan, claim, settle: a bug in the caller."""


class RowError(ActivationError):
    """One row cannot be sent as it is. Others are not touched.

    Attributes:
        code: Short machine name of the cause, stored with the rejection.
    """

    code = "invalid_row"


class InvalidAddressError(RowError):
    """The address has not the form the channel needs. The message never repeats the address."""

    code = "invalid_address"


class RenderError(RowError):
    """The row's variables do not fill the template."""

    code = "invalid_content"


class TransportError(ActivationError):
    """Talking to a provider failed."""


class NotSentError(TransportError):
    """No connection was made, so nothing was handed over: a retry is safe."""


class AnswerLostError(TransportError):
    """The request may have arrived, its answer did not: the outcome is unknown."""


class AudienceError(ActivationError):
    """An audience destination refused a whole call.

    Attributes:
        error_class: How the engine treats it, an `activations.outcomes.OutcomeClass` value.
        error_code: The destination's own code.
        retry_after: Seconds to wait before the next try, when the destination said so.
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        error_code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.error_code = error_code
        self.retry_after = retry_after


class TokenError(ActivationError):
    """A signed link token was cut, forged, or made with another secret."""
