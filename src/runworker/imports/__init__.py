"""What people bring into the database by hand: users, and flows as files.

Not hot, so each use case is a plain function over an ORM session whose transaction the caller owns.
"""

from runworker.imports.files import MOST_BYTES, FlowFile, canonical_flow, named, read_flow_file
from runworker.imports.flows import ImportedFlow, discard_draft, import_flow
from runworker.imports.refusal import ImportRefused
from runworker.imports.users import add_user, find_user, require_role

__all__ = [
    "MOST_BYTES",
    "FlowFile",
    "ImportRefused",
    "ImportedFlow",
    "add_user",
    "canonical_flow",
    "discard_draft",
    "find_user",
    "import_flow",
    "named",
    "read_flow_file",
    "require_role",
]
