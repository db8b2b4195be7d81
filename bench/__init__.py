"""Benchmarks: the operator beside the same API calls made by a bare script, in one run on one machine.

`make bench` runs all cases, writes `results.json` here, and the tables and plots of docs/performance.md. A case alone:
`python -m bench --only create`; fewer rounds, and nothing written: `--quick`.

What is measured:

latency.py      how long until the cluster has what was asked: creation, suspend, interrupt, resume, a Chain's steps
throughput.py   many at once: one-step Workflows, a large Swarm, a namespace held and released by its label
scale.py        many resources held: start, memory, rest; what one event and one decision cost, by size
processes.py    whole processes: a command of the plugin, a leader that is killed
realpods.py     Workflows and plain Jobs on a real node
peers.py        Kueue and Argo Workflows, built from their Go modules

What it is measured with:

stage.py        a control plane, a namespace for the operator and one for the script beside it
api.py          requests and watches, made as plainly as can be: the floor is made of them
objects.py      the objects that are made
batches.py      the same for many, so many at once
sightings.py    when a watch told of what
kubelet.py      a kubelet that starts, ends and kills pods at once
figures.py      medians, 95th percentiles, ratios, lines: pure
goals.py        the cases, with what each ratio or figure is to be: pure
report.py       results → docs/performance.md and its plots
"""
