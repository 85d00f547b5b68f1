"""People who issue commands: adding one, and finding the one who asks."""

import re
from typing import Final
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from runworker.codes import Code
from runworker.errors import Rejected
from runworker.imports.refusal import ImportRefused
from runworker.models import User, UserRole

LONGEST_EMAIL: Final = 254
LONGEST_NAME: Final = 200

# Whether an address takes mail is not ours to know: one @, something printable and unspaced on either side.
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")


def add_user(session: Session, email: str, role: UserRole, full_name: str | None = None) -> UUID:
    """Add a user and return the id.

    Raises ImportRefused for what is no e-mail address, for a name that cannot be kept, and for an address that
    somebody has already, in whatever case it is written.
    """
    _check_email(email)
    if full_name is not None and (not full_name.isprintable() or not 0 < len(full_name) <= LONGEST_NAME):
        raise ImportRefused(
            f"The name {full_name!a:.80} does not fit: expected 1 to {LONGEST_NAME} printable characters."
        )
    existing = _by_email(session, email)
    if existing is not None:
        raise ImportRefused(
            f"{existing.email} is a user already: {existing.id}, {existing.role}. Use that one, or another address."
        )
    user = User(email=email, full_name=full_name, role=role.value)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        if not isinstance(error.orig, UniqueViolation):
            raise
        raise ImportRefused(f"{email} was added by somebody else at this very moment.") from error
    return user.id


def find_user(session: Session, email: str) -> User:
    """The user with this address, in whatever case it is written. Raises Rejected (UNKNOWN_USER)."""
    user = _by_email(session, email)
    if user is None:
        raise Rejected(
            Code.UNKNOWN_USER,
            f"no user has the address {email!a:.80}; add one with `runworker user add EMAIL --role ROLE`",
        )
    return user


def require_role(user: User, allowed: frozenset[UserRole], what: str) -> None:
    """Raise Rejected (ROLE_NOT_ALLOWED) unless the user's role is allowed to do what."""
    if user.role not in allowed:
        raise Rejected(
            Code.ROLE_NOT_ALLOWED, f"{user.email} is {user.role}; {what} needs one of {', '.join(sorted(allowed))}"
        )


def _check_email(email: str) -> None:
    if len(email) > LONGEST_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise ImportRefused(
            f"{email!a:.80} is no e-mail address: expected name@host, no spaces, {LONGEST_EMAIL} characters at most."
        )


def _by_email(session: Session, email: str) -> User | None:
    # Older rows may differ in case alone: the one written exactly so comes first.
    if "\x00" in email or not email.isprintable():
        return None
    alike = select(User).where(func.lower(User.email) == func.lower(email))
    return session.scalars(alike.order_by((User.email == email).desc(), User.created_at).limit(1)).one_or_none()
