"""Tests of the ga4 source."""
