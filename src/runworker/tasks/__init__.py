"""Celery entry points: thin tasks over the engine, and the worker's parts around them."""
