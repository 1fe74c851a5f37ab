"""Names: each a function of what it names, and within Kubernetes' rules for any sweep's name."""

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core import names
from tests.core.builders import make_spec

DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")

# A custom resource's name is a DNS-1123 subdomain of at most 253 characters.
SUBDOMAINS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True)
TRIALS = st.integers(0, 99_999)
ATTEMPTS = st.integers(1, 9_999)


def job(sweep: str = "digits", identity: str = "ab12", trial: int = 23, attempt: int = 1) -> str:
    return names.job_name(sweep=sweep, identity=identity, trial=trial, attempt=attempt)


def test_a_job_tells_its_sweep_trial_and_attempt():
    """A person who lists Jobs sees which is which."""
    assert re.fullmatch(r"digits-[0-9a-f]{8}-23-1", job())


@given(sweep=SUBDOMAINS, identity=st.text(max_size=64), trial=TRIALS, attempt=ATTEMPTS)
def test_any_sweep_has_valid_job_names_that_pods_carry_whole(sweep, identity, trial, attempt):
    """Whatever the sweep is called, its Jobs are DNS-1123 labels short enough for a pod's suffix."""
    name = job(sweep, identity, trial, attempt)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= names.LONGEST_JOB
    assert name.endswith(f"-{trial}-{attempt}")


@given(
    st.tuples(SUBDOMAINS, st.sampled_from(["x", "y"]), TRIALS, ATTEMPTS),
    st.tuples(SUBDOMAINS, st.sampled_from(["x", "y"]), TRIALS, ATTEMPTS),
)
def test_different_attempts_have_different_jobs(one, other):
    """No two attempts meet under one name, not even of sweeps whose names are alike where they are cut."""
    assert (job(*one) == job(*other)) == (one == other)


def test_long_sweeps_that_begin_alike_have_different_jobs():
    """Names that are cut to the same head differ by their hash."""
    assert job("a" * 60 + "-one") != job("a" * 60 + "-two")


def test_a_job_has_the_same_name_in_every_process():
    """A name made again after a crash is the same name: written down, so that no refactoring changes it unseen."""
    assert job() == "digits-93d463d0-23-1"


@given(st.text(alphabet=string.printable, min_size=1, max_size=300))
def test_any_text_has_a_label_value(text):
    """Label values obey Kubernetes whatever the name."""
    value = names.label_value(text)
    assert LABEL_VALUE.fullmatch(value)
    assert len(value) <= names.LONGEST_LABEL


def test_a_short_sweep_is_its_own_label():
    """`kubectl logs -l hypersweep.dev/sweep=digits` works as documented."""
    labels = names.labels(sweep="digits.v2", uid="1-2", trial=23, attempt=4)
    assert labels == {
        "hypersweep.dev/sweep": "digits.v2",
        "hypersweep.dev/sweep-uid": "1-2",
        "hypersweep.dev/trial": "23",
        "hypersweep.dev/attempt": "4",
    }


def test_long_sweeps_that_begin_alike_have_different_labels():
    """A selector must not pick another sweep's pods."""
    assert names.label_value("a" * 70 + "b") != names.label_value("a" * 70 + "c")


def test_parameters_become_variables():
    """Upper case, and `_` for whatever a variable's name can't have."""
    assert names.parameter_variable("lr") == "HP_LR"
    assert names.parameter_variable("optimizer.weight-decay_2") == "HP_OPTIMIZER_WEIGHT_DECAY_2"


def test_the_template_hash_changes_with_how_trials_run_and_with_nothing_else():
    """The budget may change without making earlier trials look differently made; key order has no meaning."""
    base = make_spec(job={"template": {"spec": {"a": 1, "b": 2}}})
    assert names.template_hash(base) == names.template_hash(
        make_spec(job={"template": {"spec": {"b": 2, "a": 1}}}, trials={"max": 9})
    )
    assert names.template_hash(base) != names.template_hash(make_spec(job={"template": {"spec": {"a": 1, "b": 3}}}))
    assert names.template_hash(base) != names.template_hash(
        make_spec(job={"template": {"spec": {"a": 1, "b": 2}}}, trainer={})
    )
