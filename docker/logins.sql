-- Run once by the postgres image, as superuser, when the data directory is made.
--
-- runworker_owner   owns the database and its tables; migrates
-- runworker_app     what workers connect as: a member of runworker_worker, owner of nothing
-- runworker_worker  the group whose rights the migrations grant
--
-- The group is made here and not by the migrations, so that the owner need not be allowed to create roles.

\set owner_password `cat "${RUNWORKER_SECRETS_DIR:-/run/secrets}/runworker_owner_password"`
\set app_password `cat "${RUNWORKER_SECRETS_DIR:-/run/secrets}/runworker_app_password"`

CREATE ROLE runworker_worker NOLOGIN;
CREATE ROLE runworker_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE runworker_app LOGIN PASSWORD :'app_password' IN ROLE runworker_worker;

CREATE DATABASE runworker OWNER runworker_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE runworker FROM PUBLIC;
GRANT CONNECT ON DATABASE runworker TO runworker_worker;
