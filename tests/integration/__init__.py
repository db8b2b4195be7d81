"""The operator against a real API server, Job controller and scheduler; the test plays the kubelet.

So each race is made to happen on purpose: a pod starts, ends or goes at the moment that the test chooses.

    control.py    the control plane, its Node, and requests to it
    kubelet.py    the kubelet's part: what it writes about pods, and when
    history.py    every version of every pod that there was, as the API server had it
    process.py    the operator as a process: started, stopped in its tracks, killed
    wire.py       what is between the two: any request, answer or watch can be held
    audit.py      the API server's audit log: who asked for what
    stage.py      a namespace, and the Workflows that a test plays with
    promises.py   what must hold after every test, whatever it did
    scripts.py    what is played both here and on the model of tests/model

No test depends on a time: waits are for facts, with generous deadlines, and what is proved is order and counts.
"""
