"""A real control plane without a node: etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, get_args

from localcluster.binaries import ensure
from localcluster.certificates import Authority
from localcluster.processes import Supervisor
from localcluster.tools import ClusterError, free_ports, wait_until, write_whole

SERVICE_SUBNET = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
"""The first address of the service subnet: the service `kubernetes` in the namespace `default`."""

Name = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
"""The processes, in the order in which they start."""

_AUDIT_POLICY = Path(__file__).with_name("audit_policy.yaml")


class Ports(NamedTuple):
    """Ports, chosen once for a directory and kept, so that a restarted process is found where it was."""

    etcd: int
    etcd_peer: int
    api: int


class ControlPlane:
    """The control plane whose state is in `directory`; see the package's docstring for its use.

    `address` is where the API server listens. With `has_nodes` there are kubelets: nodes that stop reporting
    are tainted, and the API server has an endpoint for pods; without, a test may play the kubelet, and a Node
    that nobody renews stays as it is. `records` is where process records are kept, if not in the directory.
    With `bound_to_parent` the processes die with the thread that starts them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address: str = "127.0.0.1",
        has_nodes: bool = False,
        bound_to_parent: bool = True,
        records: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.kubeconfig = self.directory / "kubeconfig"
        self.audit_log = self.directory / "audit.log"
        self.logs = self.directory / "logs"
        self.address = address
        self._has_nodes = has_nodes
        self.binaries = ensure()
        self.kubectl = self.binaries["kubectl"]
        self.authority = Authority(self.directory / "pki")
        self.processes = Supervisor(records or self.directory / "processes", self.logs, bound_to_parent=bound_to_parent)
        self.ports = self._keep_ports()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.ports.api}"

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start what does not run; return once the API server and the default service account are there."""
        self.ports = self._keep_ports()
        self._admin = self.authority.client("admin", ("system:masters",), "admin")
        self.authority.kubeconfig(self.kubeconfig, self.server, "admin", self._admin)
        for name in get_args(Name):
            self._start(name)
        self._wait_for("/api/v1/namespaces/default/serviceaccounts/default", "the default service account")

    def stop(self) -> None:
        """End every process at once; the data stays, so that `start` goes on from there."""
        for name in reversed(get_args(Name)):
            self.processes.kill(name)

    def pause(self, name: Name) -> None:
        """Stop a process in its tracks (SIGSTOP): to the others it is there, and answers nothing."""
        self.processes.signal(name, signal.SIGSTOP)

    def resume(self, name: Name) -> None:
        """Let a paused process go on (SIGCONT)."""
        self.processes.signal(name, signal.SIGCONT)

    def kill(self, name: Name) -> None:
        """End a process without warning (SIGKILL)."""
        self.processes.kill(name)

    def restart(self, name: Name) -> None:
        """Kill a process if it runs, start it again, and wait for it if it is the API server."""
        self.kill(name)
        self._start(name)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ("system:masters",)) -> Path:
        """Write a kubeconfig with a certificate of its own, by which the audit log tells this user apart."""
        file_name = re.sub(r"[^A-Za-z0-9.-]", "-", user)
        pair = self.authority.client(user, groups, f"client-{file_name}")
        return self.authority.kubeconfig(self.directory / "kubeconfigs" / file_name, self.server, user, pair)

    def _start(self, name: Name) -> None:
        if self.processes.is_running(name):
            return
        self.processes.start(name, [self.binaries[name], *self._arguments(name)])
        if name == "kube-apiserver":
            self._wait_for("/readyz", "the API server")

    def _arguments(self, name: Name) -> list[str]:
        match name:
            case "etcd":
                return self._etcd_arguments()
            case "kube-apiserver":
                return self._api_arguments()
            case "kube-controller-manager":
                return [*self._client_arguments(name), *self._controller_arguments()]
            case "kube-scheduler":
                return self._client_arguments(name)

    def _etcd_arguments(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.ports.etcd, self.ports.etcd_peer))
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _api_arguments(self) -> list[str]:
        hosts = (self.address, SERVICE_IP, "localhost", "kubernetes", "kubernetes.default.svc")
        serving = self.authority.server("kube-apiserver", hosts, "apiserver")
        kubelet = self.authority.client("kube-apiserver", ("system:masters",), "apiserver-kubelet")
        tokens = self.authority.service_account_keys()
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.api}",
            # An endpoint on the loopback interface is refused, and without nodes nobody needs one.
            f"--endpoint-reconciler-type={'lease' if self._has_nodes else 'none'}",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            "--allow-privileged=true",
            f"--client-ca-file={self.authority.pair.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--kubelet-certificate-authority={self.authority.pair.certificate}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--audit-policy-file={_AUDIT_POLICY}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=1000",
            "--audit-log-maxbackup=1",
        ]

    def _controller_arguments(self) -> list[str]:
        return [
            "--use-service-account-credentials",
            f"--root-ca-file={self.authority.pair.certificate}",
            f"--service-account-private-key-file={self.authority.service_account_keys().key}",
            f"--cluster-signing-cert-file={self.authority.pair.certificate}",
            f"--cluster-signing-key-file={self.authority.pair.key}",
            "--concurrent-job-syncs=20",
            *([] if self._has_nodes else ["--controllers=*,-node-lifecycle-controller,-taint-eviction-controller"]),
        ]

    def _client_arguments(self, name: Name) -> list[str]:
        """What only asks the API server is alone, has no port, and is as fast as tests; RBAC knows its user."""
        kubeconfig = self.kubeconfig_for(f"system:{name}", ())
        speed = ("--kube-api-qps=200", "--kube-api-burst=400")
        return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *speed]

    def _keep_ports(self) -> Ports:
        """Read the directory's ports, or choose free ones; anew if others took them since."""
        path = self.directory / "ports.json"
        addresses = ("127.0.0.1", "127.0.0.1", self.address)
        if path.exists():
            ports = Ports(**json.loads(path.read_text()))
            if any(self.processes.is_running(name) for name in ("etcd", "kube-apiserver")):
                return ports
            with contextlib.suppress(OSError):
                return Ports(*free_ports(*zip(addresses, ports, strict=True)))
        ports = Ports(*free_ports(*((address, 0) for address in addresses)))
        write_whole(path, json.dumps(ports._asdict()))
        return ports

    def _wait_for(self, path: str, what: str) -> None:
        """Wait until the API server answers a GET with 200; tell at once if it has died."""
        tls = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        tls.load_cert_chain(self._admin.certificate, self._admin.key)

        def is_there() -> bool:
            self._fail_if_dead()
            connection = http.client.HTTPSConnection(self.address, self.ports.api, timeout=5, context=tls)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", path)
                return connection.getresponse().status == http.client.OK
            return False

        wait_until(is_there, 300, f"{what} (logs are in {self.logs})", interval_s=0.05)

    def _fail_if_dead(self) -> None:
        for name in ("etcd", "kube-apiserver"):
            if not self.processes.is_running(name):
                log = self.processes.log(name)
                end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                problem = f"{name} ended while starting; the end of its log:\n{end}"
                raise ClusterError(problem, f"The whole log is {log}.")
