"""The operator: all that touches the cluster. It observes, lets `mageflow.core` decide, and acts.

The way of an event, from a watch to a request:

handlers.py            what kopf calls for each event of our own resources: the caches take it in, the queue gets a key
reflector.py           the same of Jobs and pods, which it lists and watches itself
caches.py              what is known of each resource, its Jobs, their pods and its namespace; made of
  observe.py             an API object → the few facts that the core reads; of a pod's containers: containers.py
  object_store.py        the newest known version of each object
  cache_entry.py         the Jobs and pods of one resource; which of their last states stay: retention.py
  expectations.py        what our own writes have done, and no watch has shown yet
  findings.py            what was learned, and stands in no object
  namespace_cache.py     the label of each namespace
  snapshot.py            all of these → the frozen ObservedResource
queue.py               one key for each resource, a limit on workers, back-off, delayed re-checks
lease.py               which one of several operators acts: others let keys pass, and make no request (fenced_client.py)
reconcile.py           one resource: snapshot → decide → act; how soon again, if it has many tasks: pacing.py
executor.py            a decision → API requests with preconditions; what is read past the watches: fresh_reads.py
  creations.py           the creations of Jobs, each in a task of its own: background.py
  attempts.py            what was refused or isn't answered, and when it is tried again
  event_recorder.py      Events on resources, which nobody waits for
  run_evidence.py        Events of a run that is gone → what they tell of its end
transition_latency.py  how long it took until what was asked is in force

What is around it:

__main__.py            the program, and how it is loaded
command.py             the command line
settings.py            what can be set, and the limits that nobody can set
operator.py            all parts, put together and run
api_server.py          requests: counted, with time limits, and a session for kopf
resync.py              everything listed anew, when this operator is elected
namespace_poller.py    Namespaces read one by one, where the rights don't allow to watch them
health.py              whether watches and queue move: /healthz
metrics.py             what is measured; served at /metrics by instrumentation.py
clock.py               the two clocks
"""
