# The commands themselves stand in .ci/run, so that what passes here passes there.
.PHONY: help check test lint types layers demo mutation fmt schema lock secrets

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## all that CI runs
	bash .ci/run

test: ## the tests and their coverage
	bash .ci/run tests coverage

lint: ## ruff, both halves
	bash .ci/run lint

types: ## mypy, strict
	bash .ci/run types

layers: ## import-linter
	bash .ci/run layers

demo: ## production runs on servers of its own
	bash .ci/run demo

mutation: ## mutants, by hand and by mutmut, against the tests: takes hours, goes on where it was
	uv run --group mutation python -m tests.mutation.by_hand
	uv run --group mutation python -m tests.mutation.packages

fmt: ## put source into shape
	./uv run ruff check --fix
	./uv run ruff format

schema: ## what `runworker verify` expects of the schema, from the migrations
	./uv run python -m tests.schema_file

lock: ## newest releases that pyproject.toml allows, into requirements.lock
	./uv lock --upgrade
	./uv export --locked --no-dev --all-extras --no-emit-project --quiet --format requirements.txt --output-file requirements.lock

secrets: ## random passwords for docker compose, into secrets/
	sh docker/make-secrets.sh
