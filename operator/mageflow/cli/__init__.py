"""`kubectl mageflow` (docs/cli.md), by what it answers.

what is there
    get.py            all three kinds in one table, or as objects
    tree.py           their tasks and runs as a tree
    graph.py          one resource as a drawing: Mermaid, SVG
    logs.py           what its tasks have written

why, and what if
    explain.py        the command
    explain_state.py  why a resource is in its state (pure)
    preview.py        what each operation would do now (pure)

suspend, interrupt, resume, cancel
    operate.py        the four commands: look up, preflight, ask, write, wait, report
    verbs.py          the four operations: whether one applies, and words for what came of it (pure)
    impact.py         what an interrupt or cancel would lose (pure)
    progress.py       bars or lines while it is waited

shared
    app.py            the commands put together; loaded and run by __main__.py
    options.py        options that several commands have
    args.py           what the words on the command line name (pure)
    lookup.py         the resources that they name
    session.py        one run: the client, its event loop, and what becomes of errors
    exit_codes.py     exit codes, and which error means which
    view.py           a resource, its tasks and its status as one value (pure)
    objects.py        JSON, YAML and names, as kubectl prints them (pure)
    durations.py      durations, as kubectl writes and reads them (pure)
    terminal.py       stdout and stderr, colours, columns
    completion.py     names from the cluster, for the shell
"""
