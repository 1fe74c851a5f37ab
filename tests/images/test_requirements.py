"""The locked requirements: they satisfy pyproject.toml, agree with each other, carry hashes, and keep images lean."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCKS = ("build", "operator", "torch", "trainer", "mlflow", "dev")


def locked(name: str) -> list[Requirement]:
    """The pins of requirements/NAME.txt."""
    lines = (REPOSITORY / "requirements" / f"{name}.txt").read_text().splitlines()
    return [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[A-Za-z0-9]", line)]


def asked_for(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with an extra, extras within it resolved."""
    found = []
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == PROJECT["name"]:
            found += [inner for name in sorted(requirement.extras) for inner in asked_for(name)]
        else:
            found.append(requirement)
    return found


def versions(requirement: Requirement) -> str:
    """The one version that a pin allows."""
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


@pytest.mark.parametrize(
    ("extra", "files"), [("operator", ["operator"]), ("trainer", ["torch", "trainer"]), ("dev", ["torch", "dev"])]
)
def test_the_locks_satisfy_the_project(extra: str, files: list[str]) -> None:
    """A dependency that was added or raised in pyproject.toml is locked too (`make lock`)."""
    pins: dict[str, list[Requirement]] = {}
    for file in files:
        for pin in locked(file):
            pins.setdefault(pin.name.lower(), []).append(pin)
    for requirement in [*map(Requirement, PROJECT["dependencies"]), *asked_for(extra)]:
        candidates = pins.get(requirement.name.lower(), [])
        assert candidates, f"{requirement} is not locked in {files}"
        assert all(versions(pin) in requirement.specifier for pin in candidates), requirement


def test_no_package_has_two_versions() -> None:
    """What the tests run on is what the images hold. A version may differ between Pythons only."""
    seen: dict[tuple[str, str], set[str]] = {}
    for file in LOCKS:
        for pin in locked(file):
            seen.setdefault((pin.name, str(pin.marker or "")), set()).add(versions(pin))
    assert {key: found for key, found in seen.items() if len(found) > 1} == {}


def test_the_operators_image_has_neither_torch_nor_mlflow() -> None:
    """Small, quick to start, and few things to patch."""
    heavy = r"torch|triton|nvidia|cuda|mlflow|pandas|scikit-learn|pyarrow"
    assert not {pin.name for pin in locked("operator") if re.match(heavy, pin.name)}


def test_cuda_is_in_the_torch_layer_only() -> None:
    """The layers above it are the same whichever build of torch lies below."""
    for file in ("trainer", "dev", "mlflow", "operator"):
        assert not {pin.name for pin in locked(file) if re.match(r"(torch|triton)$|nvidia-|cuda-", pin.name)}, file


@pytest.mark.parametrize("file", LOCKS)
def test_every_package_has_a_hash_and_no_address(file: str) -> None:
    """What is installed is what was locked, wherever it comes from."""
    text = (REPOSITORY / "requirements" / f"{file}.txt").read_text()
    assert not re.search(r"https?:|--(extra-)?index|--find-links| @ ", text)
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_everything_imported_is_locked() -> None:
    """What happens to be installed on a developer's machine is not there in a fresh clone."""
    files = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=REPOSITORY, capture_output=True, check=True, text=True
    ).stdout
    text = "\n".join((REPOSITORY / file).read_text() for file in files.split())
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", text, flags=re.MULTILINE)) - set(sys.stdlib_module_names)
    assert {"kopf", "torch", "pytest"} <= imported
    named = {canonicalize_name(pin.name) for file in ("torch", "dev") for pin in locked(file)} | {PROJECT["name"]}
    installed = packages_distributions()
    strangers = {
        name for name in imported & installed.keys() if named.isdisjoint(map(canonicalize_name, installed[name]))
    }
    assert strangers == set()
