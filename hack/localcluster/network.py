"""The pods' network: a bridge, a subnet that nobody else uses, and the packet rules for both.

The bridge's own address is the node's address and the API server's; pods reach it as their gateway. One rule lets
them reach it also as the service `kubernetes` (so no kube-proxy is needed), one lets them out. All rules are in one
nftables table, so that removing the table removes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from localcluster.controlplane import SERVICE_IP
from localcluster.layout import Layout
from localcluster.tools import ClusterError, run, succeeds, write_whole

_FIRST = int(IPv4Address("10.128.0.0"))
_COUNT = 2**14
"""Candidates are the subnets of 256 addresses from 10.128.0.0 to 10.191.255.255."""


def pick_subnet(cluster_id: str, taken: Iterable[IPv4Network]) -> IPv4Network:
    """Choose the first free candidate, counted from one that the cluster's id (hexadecimal) points to."""
    used = list(taken)
    start = int(cluster_id, 16)
    for number in range(_COUNT):
        candidate = IPv4Network((_FIRST + 256 * ((start + number) % _COUNT), 24))
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise ClusterError("Every subnet between 10.128.0.0 and 10.191.255.255 is in use.")


def parse_routes(text: str) -> list[IPv4Network]:
    """Read the destinations of `ip -json route`, without the default route."""
    return [IPv4Network(route["dst"], strict=False) for route in json.loads(text or "[]") if route["dst"] != "default"]


def gateway(subnet: IPv4Network) -> str:
    """Return the bridge's address: the subnet's first."""
    return str(subnet[1])


def keep_subnet(layout: Layout) -> IPv4Network:
    """Return the cluster's subnet: the one chosen before, as long as nobody else took it; else a free one."""
    path = layout.data / "subnet"
    routes = parse_routes(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
    if path.exists():
        subnet = IPv4Network(path.read_text())
        if has_bridge(layout) or not any(subnet.overlaps(route) for route in routes):
            return subnet
    subnet = pick_subnet(layout.id, routes)
    write_whole(path, str(subnet))
    return subnet


def has_bridge(layout: Layout) -> bool:
    """Tell whether the cluster's bridge is there."""
    return succeeds(["ip", "link", "show", layout.bridge])


def create_bridge(layout: Layout, subnet: IPv4Network) -> None:
    """Make the bridge, unless it is there, and give it its address."""
    if not has_bridge(layout):
        # With no address of its own, a bridge takes over one from its pods, and changes it as they come and go.
        hardware = ":".join(["02", "4d", *(layout.id[place : place + 2] for place in range(0, 8, 2))])
        run(["ip", "link", "add", layout.bridge, "address", hardware, "type", "bridge"])
    run(["ip", "address", "replace", f"{gateway(subnet)}/{subnet.prefixlen}", "dev", layout.bridge])
    run(["ip", "link", "set", layout.bridge, "up"])


def render_rules(layout: Layout, subnet: IPv4Network, api_port: int) -> str:
    """Write the nftables rules; what the table held before is replaced, in one transaction.

    The node's own address is no pod's: were it masqueraded too, the components' connections to the API server
    would hang.
    """
    return f"""\
table ip {layout.nft_table}
delete table ip {layout.nft_table}
table ip {layout.nft_table} {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "{layout.bridge}" ip daddr {SERVICE_IP} tcp dport 443 dnat to {gateway(subnet)}:{api_port}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {subnet} ip saddr != {gateway(subnet)} oifname != "{layout.bridge}" masquerade
  }}
}}
"""


def apply_rules(layout: Layout, subnet: IPv4Network, api_port: int) -> None:
    """Put the packet rules in force."""
    run(["nft", "-f", "-"], input=render_rules(layout, subnet, api_port))


def cni_config(layout: Layout, subnet: IPv4Network) -> Mapping[str, Any]:
    """Describe the network to the container runtime: an address from the subnet, a port on the bridge."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(subnet), "gateway": gateway(subnet)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(layout.data / "cni"),
    }
    plugin = {"type": "bridge", "bridge": layout.bridge, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": layout.network, "plugins": [plugin]}


def remove(layout: Layout) -> None:
    """Remove the bridge and the packet rules, if they are there."""
    if has_bridge(layout):
        run(["ip", "link", "delete", layout.bridge])
    if succeeds(["nft", "list", "table", "ip", layout.nft_table]):
        run(["nft", "delete", "table", "ip", layout.nft_table])
