"""The decisions: pure functions from what is seen to what is to be done.

Nothing here does I/O, knows a framework or looks at a clock; `now` is an argument. import-linter holds this.

    observed.py      what is seen of a resource, its Jobs and their pods
    decide.py        the one function that decides, made of the parts below
    plan.py          which tasks may run: what each kind makes of its spec
    lifecycle.py     whether they may, and the phase that follows
    task.py          how that is done to one task: the table
    ledger.py        one task's entry in the status, brought up to date
    run_result.py    how a run ended; evidence.py: the same where its pod is gone
    handover.py      what a task of a Chain gets from the one before
    quota.py         which Job goes where a quota refuses another
    stopping.py      what still works of a resource that is going, or can't be read
    blocked.py       what the API server refuses, and when it is tried again
    report.py        the status and the events that follow; readiness.py, conditions.py: in words
    job_manifest.py  the Job of one run; pods.py, output.py: what is read of its pod
    sizes.py         how large a resource and its ledger may be
    decision.py      the answer: a status, actions, events, a time to look again
"""
