"""Modelwire: model configurations for fleets of LLM agents, and the wire that brings every change to each of them."""

__version__ = "0.1.0"
