"""Celery entry points: thin tasks over the engine, and what a worker does besides."""
