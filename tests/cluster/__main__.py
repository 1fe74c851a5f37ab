"""The command line of the harness: `python -m tests.cluster --help`. It only parses, calls and prints."""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.cluster import build, debian, images, kwok, paths
from tests.cluster.clients import ToolError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import RealNode

NODE_SECONDS = 5.0  # how long to wait for a test session that uses the node, before saying so


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    plane = ControlPlane(options.state or paths.clusters() / options.name)
    try:
        code: int = options.run(options, plane)
    except (OSError, LookupError, RuntimeError, ToolError, subprocess.SubprocessError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes for tests.")
    parser.add_argument("--name", default="default", help="which cluster (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="the cluster's state directory (default: by name, in the cache)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("build", help="build what is missing of Kubernetes, etcd, Helm and kwok")
    command.set_defaults(run=_build)

    command = commands.add_parser("up", help="control plane and a simulated node; prints the path of the kubeconfig")
    command.add_argument("--no-kwok", action="store_true", help="no simulated node")
    for component in ("apiserver", "controller-manager", "scheduler"):
        command.add_argument(f"--{component}-flag", action="append", default=[], metavar="FLAG", help="give it --FLAG")
    command.set_defaults(run=_up)

    _add_node_commands(commands.add_parser("node", help="this machine as a real node, with a cluster of its own"))
    _add_image_commands(commands.add_parser("image", help="container images without a registry"))
    commands.add_parser("down", help="stop the cluster").set_defaults(run=_down)
    commands.add_parser("status", help="what runs of it; exit code 1 if not all").set_defaults(run=_status)
    return parser


def _add_node_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("up", help="prints the path of the kubeconfig").set_defaults(run=_node_up)
    commands.add_parser("down", help="leaves logs and images, and nothing else").set_defaults(run=_node_down)
    commands.add_parser("status", help="exit code 1 if not all of it runs").set_defaults(run=_node_status)
    command = commands.add_parser("load", help="give images to the node")
    command.add_argument("image", nargs="+")
    command.set_defaults(run=_node_load)


def _add_image_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("base", help=f"make {images.BASE} from Debian packages").set_defaults(run=_image_base)
    command = commands.add_parser("build", help="build a Dockerfile")
    command.add_argument("tag")
    command.add_argument("context", type=Path)
    command.add_argument("--target", help="the stage to build")
    command.add_argument("--file", type=Path, help="the Dockerfile, if not the one in the context")
    command.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    command.set_defaults(run=_image_build)


def _build(_: argparse.Namespace, __: ControlPlane) -> int:
    build.ensure()
    print(paths.binaries())
    return 0


def _up(options: argparse.Namespace, plane: ControlPlane) -> int:
    plane.up(
        apiserver_flags=[f"--{flag}" for flag in options.apiserver_flag],
        controller_manager_flags=[f"--{flag}" for flag in options.controller_manager_flag],
        scheduler_flags=[f"--{flag}" for flag in options.scheduler_flag],
    )
    if not options.no_kwok:
        kwok.up(plane)
    print(plane.kubeconfig)
    return 0


def _down(_: argparse.Namespace, plane: ControlPlane) -> int:
    plane.down()
    return 0


def _status(_: argparse.Namespace, plane: ControlPlane) -> int:
    return _print_status(plane.status())


def _node_up(_: argparse.Namespace, __: ControlPlane) -> int:
    node = RealNode()
    with node.reserved(NODE_SECONDS):
        node.up()
    print(node.control_plane.kubeconfig)
    return 0


def _node_down(_: argparse.Namespace, __: ControlPlane) -> int:
    node = RealNode()
    with node.reserved(NODE_SECONDS):
        node.down()
    return 0


def _node_status(_: argparse.Namespace, __: ControlPlane) -> int:
    return _print_status(RealNode().status())


def _node_load(options: argparse.Namespace, _: ControlPlane) -> int:
    RealNode().load(*options.image)
    return 0


def _image_base(_: argparse.Namespace, __: ControlPlane) -> int:
    debian.ensure(debian.IMAGES)
    images.ensure_base()
    return 0


def _image_build(options: argparse.Namespace, _: ControlPlane) -> int:
    arguments = dict(item.split("=", 1) for item in options.build_arg)
    images.build(options.tag, options.context, target=options.target, file=options.file, arguments=arguments)
    return 0


def _print_status(states: dict[str, int | None]) -> int:
    for name, pid in states.items():
        print(f"{name:24} {pid or 'stopped'}")
    return 0 if all(states.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
