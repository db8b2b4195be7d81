"""The decisions: pure functions from what is seen to what is to be done.

Nothing here does I/O, knows a framework or looks at a clock; `now` is an argument. import-linter holds this.

    observed.py           what is seen of a resource, its Jobs and their pods
    decide.py             the one function that decides: a pipeline of the parts below
    plan.py               which tasks may run: what each kind makes of its spec
    lifecycle.py          whether they may: who holds the resource, and the phase; asked.py: what a status answers
    task.py               how that is done to one task: the table; garbage.py: what goes
    decision.py           the answer: actions, a status, events, a time to look again

    ledger.py             one task's entry in the status, brought up to date: what is promised
    run_state.py          the state that a task is in: what is seen
    run_result.py         how a run ended; evidence.py: the same where its pod is gone
    handover.py           what a task of a Chain gets from the one before
    steps.py              what becomes of each task, in one list
    quota.py              which Job goes where a quota refuses another
    blocked.py            what the API server refuses, and when it is tried again
    stopping.py           what still works of a resource that is going, or can't be read

    status_builder.py     the status; conditions.py, readiness.py, trouble.py: in words
    transition_events.py  the Events

    job_manifest.py       the Job of one run; pods.py, output.py: what is read of its pod
    sizes.py              how large a resource and its ledger may be
    sentences.py          parts of messages
"""
