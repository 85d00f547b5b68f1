-- The plant's tables as its older system made them, which never heard of Alembic: constraints bear PostgreSQL's names.
CREATE TYPE lot_type AS ENUM ('RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG', 'PAL', 'SHIP');
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    full_name text,
    role varchar(20) NOT NULL CHECK (role IN ('ADMIN', 'MANAGER', 'AUDITOR', 'OPERATOR', 'VIEWER')),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login timestamptz
);
CREATE TABLE scenarios (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    config jsonb NOT NULL DEFAULT '{}',
    i18n jsonb NOT NULL DEFAULT '{}',
    is_active boolean NOT NULL DEFAULT true
);
CREATE TABLE streams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid NOT NULL REFERENCES scenarios (id),
    stream_key varchar(1) NOT NULL CHECK (stream_key IN ('A', 'B', 'C')),
    name jsonb NOT NULL,
    color varchar(20),
    sort_order integer NOT NULL DEFAULT 0
);
CREATE TABLE qc_gates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid NOT NULL REFERENCES scenarios (id),
    gate_number integer NOT NULL,
    name jsonb NOT NULL,
    gate_type varchar(20) NOT NULL CHECK (gate_type IN ('CHECKPOINT', 'BLOCKING', 'INFO')),
    is_ccp boolean NOT NULL DEFAULT false,
    checklist jsonb NOT NULL DEFAULT '[]'
);
CREATE TABLE phases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid NOT NULL REFERENCES scenarios (id),
    stream_id uuid REFERENCES streams (id),
    qc_gate_id uuid REFERENCES qc_gates (id),
    phase_number integer NOT NULL,
    name jsonb NOT NULL,
    description jsonb
);
CREATE TABLE flow_definitions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name jsonb NOT NULL,
    description text,
    created_by uuid REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE flow_versions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    flow_definition_id uuid NOT NULL REFERENCES flow_definitions (id),
    version_num integer NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'DRAFT' CHECK (status IN ('DRAFT', 'PUBLISHED', 'ARCHIVED')),
    graph_schema jsonb NOT NULL,
    created_by uuid REFERENCES users (id),
    published_at timestamptz,
    published_by uuid REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (flow_definition_id, version_num)
);
CREATE TABLE production_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_code text NOT NULL UNIQUE,
    scenario_id uuid REFERENCES scenarios (id),
    operator_id uuid REFERENCES users (id),
    status varchar(20) NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'COMPLETED', 'CANCELLED')),
    daily_target_kg numeric,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    summary jsonb
);
CREATE TABLE lots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_code text NOT NULL UNIQUE,
    lot_type lot_type,
    production_run_id uuid REFERENCES production_runs (id),
    phase_id uuid REFERENCES phases (id),
    operator_id uuid REFERENCES users (id),
    weight_kg numeric(10, 2),
    temperature_c numeric(5, 1),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE lot_genealogy (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_lot_id uuid NOT NULL REFERENCES lots (id),
    child_lot_id uuid NOT NULL REFERENCES lots (id),
    quantity_used_kg numeric(10, 2),
    linked_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE qc_decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_id uuid NOT NULL REFERENCES lots (id),
    qc_gate_id uuid REFERENCES qc_gates (id),
    operator_id uuid REFERENCES users (id),
    decision varchar(10) NOT NULL CHECK (decision IN ('PASS', 'HOLD', 'FAIL')),
    notes text,
    temperature_c numeric(5, 1),
    digital_signature text,
    decided_at timestamptz NOT NULL DEFAULT now()
);
