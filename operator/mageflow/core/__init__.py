"""The decisions: pure functions from what is seen to what is to be done.

Nothing here does I/O, knows a framework or looks at a clock; `now` is an argument. import-linter holds this.

    observed.py    what is seen of a resource, its Jobs and their pods
    plan.py        which tasks may run: data that workflow.py, chain.py and swarm.py each make of a spec
    lifecycle.py   whether they may, and the phase that follows
    ending.py      how a run ended
    ledger.py      one task's entry in the status, brought up to date
    task.py        what is done to one task: the table
    resource.py    all of it together: the one function that decides
    report.py      the status and the events that follow; readiness.py, conditions.py: in words
    output.py      what a task wrote
    jobs.py        the Job of one run: its name, labels and manifest
    decision.py    the answer: a status, actions, events, a time to look again
"""
