#!/bin/sh
# Random passwords for docker-compose.yml, each in a file of its own under secrets/. Changes nothing that exists.
set -eu
cd "$(dirname "$0")/.."
if [ -e secrets ]; then
    echo "secrets/ exists. Passwords live in PostgreSQL's data too: to begin anew, remove secrets/ and the volumes." >&2
    exit 1
fi
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { printf '%s' "$2" >"secrets/$1"; }

# Containers read these files as users of their own, so each file is open and the folder around them is not.
mkdir -m 700 secrets
umask 022
owner=$(random) app=$(random) redis=$(random)
keep postgres_password "$(random)"
keep runworker_owner_password "$owner"
keep runworker_app_password "$app"
keep redis_password "$redis"
keep flower_basic_auth "operator:$(random)"
keep runworker_migration_url "postgresql://runworker_owner:$owner@postgres:5432/runworker"
keep runworker_database_url "postgresql://runworker_app:$app@postgres:5432/runworker"
keep runworker_broker_url "redis://:$redis@redis:6379/0"
echo "Wrote secrets/. Flower's login stands in secrets/flower_basic_auth."
