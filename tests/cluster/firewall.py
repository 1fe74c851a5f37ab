"""Takes the packet filter rules of kube-proxy, the kubelet and our pod network out of the kernel, and no others.

kube-proxy's own `--cleanup` leaves the kubelet's behind, and the bridge plugin's stay when a node is killed. Image
builds on the same machine have rules of the same plugins, for another network: those are left alone.
"""

import re
import subprocess
from collections.abc import Iterator

from tests.cluster import debian

_SECONDS = 30.0


def remove_rules(network: str) -> None:
    """Remove the rules of Kubernetes and of the CNI network `network`, in one transaction per table."""
    for save, restore in (("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")):
        script = removal(_run(save), network)
        if script:
            _run(restore, "--noflush", stdin=script)


def remaining(network: str) -> list[str]:
    """The rules that `remove_rules` would remove."""
    rules: list[str] = []
    for save in ("iptables-save", "ip6tables-save"):
        rules += removal(_run(save), network).splitlines()
    return [rule for rule in rules if rule.startswith(("-D", "-X"))]


def removal(dump: str, network: str) -> str:
    """What `iptables-restore --noflush` must read so that, of what `iptables-save` wrote, our part goes.

    Ours are the chains named KUBE-…, those that rules with the CNI comment `name: "NETWORK"` jump to, and all rules
    in other chains that jump to them.
    """
    script: list[str] = []
    for table, lines in _tables(dump):
        ours = {line[1:].split()[0] for line in lines if line.startswith(":KUBE-")}
        ours |= {_target(line) for line in lines if f'name: \\"{network}\\"' in line and "-j CNI-" in line}
        outside = [line for line in lines if line.startswith("-A") and line.split()[1] not in ours]
        jumps = [f"-D{line[2:]}" for line in outside if _target(line) in ours]
        if ours or jumps:
            chains = sorted(ours)
            flush, delete = [f"-F {chain}" for chain in chains], [f"-X {chain}" for chain in chains]
            script += [f"*{table}", *jumps, *flush, *delete, "COMMIT"]
    return "".join(f"{line}\n" for line in script)


def _tables(dump: str) -> Iterator[tuple[str, list[str]]]:
    for match in re.finditer(r"^\*(\w+)\n(.*?)^COMMIT$", dump, re.MULTILINE | re.DOTALL):
        yield match[1], match[2].splitlines()


def _target(rule: str) -> str:
    match = re.search(r" -j (\S+)", rule)
    return match[1] if match else ""


def _run(program: str, *arguments: str, stdin: str | None = None) -> str:
    command = [debian.program_path(program) or program, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=_SECONDS)
    return done.stdout
