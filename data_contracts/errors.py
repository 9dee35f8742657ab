"""Errors of the data contracts. What belongs: the exception tree. What does not: failed checks.

A check that fails is a result (`data_contracts.validator.CheckResult`), never an exception.

    DataContractError           base; catch this at the edge
    ├── ContractFileError       a YAML file is wrong: its author must mend it; a retry does not help
    ├── ContractQueryError      the warehouse refused a statement of ours that needs no data to be
    │                           right (state and quarantine tables): the warehouse's owner must
    │                           act; a retry helps when the file was locked
    └── ContractEngineError     Great Expectations did not answer for every check it was given:
                                whoever upgraded it must act; a retry does not help
"""

from __future__ import annotations


class DataContractError(Exception):
    """Base of every error raised by `data_contracts`."""


class ContractFileError(DataContractError):
    """A contract file cannot be read as a contract; the text names the file and the key."""


class ContractQueryError(DataContractError):
    """The warehouse refused a statement on a state or quarantine table."""


class ContractEngineError(DataContractError):
    """Great Expectations gave back another number of results than it was given expectations."""
