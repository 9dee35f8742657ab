"""Tests of the admin source."""
