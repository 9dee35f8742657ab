"""Tests of the crm source."""
