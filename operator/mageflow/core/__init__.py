"""The decisions: pure functions from what is seen to what is to be done.

Nothing here does I/O, knows a framework or looks at a clock; `now` is an argument. import-linter holds this.

    observed.py    what is seen of a resource, its Jobs and their pods
    lifecycle.py   whether tasks may run, and the phase that follows
    task.py        how that is done to one task: its state, the end of its run, the next action
    workflow.py    which tasks may run, for a Workflow
    conditions.py  what is told to people and to kubectl wait
    jobs.py        the Job of one run: its name, labels and manifest
    decision.py    the answer: a status, actions, events, a time to look again
"""
