"""Tests of activation."""
