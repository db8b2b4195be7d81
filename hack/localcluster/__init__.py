"""A real Kubernetes cluster where there may be neither Docker nor kind: for the tests, the demo and e2e.

On the command line (`python -m localcluster COMMAND`): `build`, `up`, `down`, `image`.

In tests, a control plane without a node. It needs no root, starts in about 4 s, dies with the test process::

    from localcluster.controlplane import ControlPlane

    with ControlPlane(tmp_path) as cluster:      # or .start() and .stop(); both may be called twice
        cluster.kubeconfig                       # Path, user "admin"
        cluster.kubeconfig_for("operator-a")     # Path, another user: the audit log tells them apart
        cluster.server                           # "https://127.0.0.1:PORT"; kept over restarts
        cluster.kubectl                          # Path of the kubectl program
        cluster.audit_log                        # Path; a JSON line per request, there before the answer is
        cluster.pause("kube-controller-manager") # SIGSTOP; .resume(...) is SIGCONT
        cluster.kill("kube-apiserver")           # SIGKILL
        cluster.restart("kube-apiserver")        # returns once it answers again

Start it from the main thread: the processes die with the thread that started them.

No kubelet runs: create a Node, bind pods to it (POST to pods/NAME/binding) and patch their status. A Node is
born with the taint node.kubernetes.io/not-ready, which nobody here lifts: the scheduler places nothing on it,
and a pod stays Pending until the test binds it. Set the Node's `spec.taints` to [] to let the scheduler bind.
Nothing else taints a Node that nobody renews, and nothing evicts its pods; the pod garbage collector runs.
The Job controller keeps its default back-off; only its request rate and its number of workers are raised.

The programs alone: `binaries.ensure()["kubectl"]` is a path; what the cache lacks is built, for minutes the first time.
The cluster that the demo and e2e use, whichever it is: `commands.up()` returns the path of its kubeconfig.

Everything that goes wrong as foreseen is a `localcluster.tools.ClusterError`, which says what to do about it.

The map, from the bottom up:

- `tools`, `progress`, `processes`, `layout`: tools, and the names of things
- `components`, `binaries`: what is built, from what, and how
- `certificates`, `controlplane`: a control plane, which needs no root
- `kernel`, `network`, `packages`, `images`, `runtime`, `kubelet`: a node
- `local`, `leftovers`: both together, from nothing to ready and back to nothing
- `operatorimage`: the operator's image, for it
- `provider`, `commands`: which cluster it is to be, and the commands
"""
