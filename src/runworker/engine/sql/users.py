"""Users: the roles of those who ask."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, select

from runworker.engine.sql.arrays import Uuids, any_of
from runworker.models import User
from runworker.states import UserRole

_LOAD = select(User.id, User.role).where(User.id == any_of("ids"))


def load_users(connection: Connection, ids: Collection[UUID]) -> dict[UUID, UserRole]:
    """Roles of the users that exist."""
    return {id_: UserRole(role) for id_, role in connection.execute(_LOAD, {"ids": Uuids(ids)})} if ids else {}
