"""Activation: tell the channels exactly once what the warehouse decided, and remember the answer.

Belongs here: the ledger, the runner, the transport, the channels and audiences, their templates,
the gateway that receives what providers report, the sandbox that plays those providers. Does not
belong here: who hears what and when (that is SQL in ``dbt_project/``), and anything that knows
Dagster or ``orchestration``.
"""
