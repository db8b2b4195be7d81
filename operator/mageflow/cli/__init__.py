"""`kubectl mageflow`: docs/cli.md.

    app.py             the commands put together, and the program's main
    commands/          one file for each command: reads its options, asks the client, prints
    options.py         options that several commands have
    session.py         one run: the client, its event loop, and what becomes of errors
    exits.py           exit codes, and which error means which
    names.py           what the words on the command line name (pure)
    selection.py       … and the resources that there are
    progress.py        what is shown while something is waited for
    terminal.py        stdout and stderr: colours only on a terminal
    completion.py      names from the cluster, for the shell

Pure, from what the API server sent to what is shown:

    view.py            a resource, its tasks and its status as one value
    operations.py      suspend, interrupt, resume, cancel: whether there is anything to do, and what came of it
    losses.py          what an interrupt or cancel would lose
    reasons.py         why it is in this state
    prospects.py       what each operation would do now
    table.py, tree.py  get, tree
    mermaid.py, svg.py graph
    objects.py         JSON, YAML and names, as kubectl prints them
    yamltext.py        YAML that every reader reads alike
    ages.py            durations, as kubectl writes and reads them
"""
