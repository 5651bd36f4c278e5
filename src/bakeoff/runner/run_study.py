"""A whole study, wherever its recipe wants it done."""

from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.workspace import Workspace


def run_study(
    study: PreparedStudy, workspace: Workspace, observer: Observer, *, force: bool = False
) -> StudyOutcome:
    """Do every step that is not done yet; what fails is recorded, and the rest goes on.

    Raises:
        UserError: The model or the data cannot be had, or there is no cluster.
    """
    if workspace.cluster is None:
        return StudyRunner(study, workspace, observer, force=force).run()
    from bakeoff.runner.cluster import ClusterStudyRunner  # noqa: PLC0415 - needed there only

    spec = workspace.cluster
    return ClusterStudyRunner(study, workspace, observer, spec=spec, force=force).run()
