"""The doctor: looks at servers, rights, settings and what lies about, and says what to do. It changes nothing."""

from runworker.doctor.access import Access
from runworker.doctor.examination import Group, examine
from runworker.doctor.findings import DoctorCheck, Finding, Severity
from runworker.doctor.groups import GROUPS, WITHOUT_BROKER, all_checks

__all__ = ["GROUPS", "WITHOUT_BROKER", "Access", "DoctorCheck", "Finding", "Group", "Severity", "all_checks", "examine"]
