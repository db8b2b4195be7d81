"""What the chart grants to the operator is what it uses: judged by the audit log, once all other tests have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit.audit import AuditLog

from .rights import Account, Right, find_refusals, used_right, user_of

SELDOM = {
    **dict.fromkeys(
        (Right("get", "mageflow.io", plural) for plural in ("workflows", "chains", "swarms")),
        "a status write is refused, or the watches are silent for long: tests/integration/test_races.py",
    ),
    Right("get", "batch", "jobs"): "a Job is there already that a run is to get: tests/integration/test_failures.py",
    Right("delete", "", "pods"): "a pod outlives its Job: tests/model, tests/core/test_task_table.py",
    Right("list", "", "events"): "a Job gets no pod: tests/integration/test_failures.py",
    Right("create", "", "events"): "something is worth telling: tests/integration/test_transitions.py",
}
"""What may go unused in a run, and when it is used."""


def test_no_right_is_missing_and_none_is_granted_in_vain(
    request: pytest.FixtureRequest, account: Account, session_log: AuditLog | None
) -> None:
    if session_log is None:
        pytest.skip("this cluster's audit log can't be read")
    asked = {Path(str(item.path)).name for item in request.session.items}
    if not {path.name for path in Path(__file__).parent.glob("test_*.py")} <= asked:
        pytest.skip("only the whole of e2e tells what is used")
    users = (account.user, user_of("mageflow-system", "mageflow"))
    used = {used_right(one) for user in users for one in session_log.requests_by(user) if one.code < 400}

    assert find_refusals(session_log.requests_by(account.user)) == []
    # `finalizers` is asked for by admission, when an owner reference blocks its owner's deletion.
    unused = {right for right in account.rights - used if not right.resource.endswith("/finalizers")}
    print(f"granted {len(account.rights)}, unused: {', '.join(sorted(map(str, unused))) or 'none'}")
    assert {str(right) for right in unused - SELDOM.keys()} == set()
