"""The one error of imports."""

from collections.abc import Sequence

from runworker.errors import RunworkerError
from runworker.plan import PlanProblem


class ImportRefused(RunworkerError):
    """The import does not fit, and nothing was written. The text has a line for each problem."""

    def __init__(self, message: str, problems: Sequence[PlanProblem] = ()) -> None:
        lines = [f"  {problem.where}: {problem.message} [{problem.code}]" for problem in problems]
        super().__init__("\n".join([message, *lines]))
        self.problems = tuple(problems)
