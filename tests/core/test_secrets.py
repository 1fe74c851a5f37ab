"""Which texts of a manifest are taken for secrets, and that the walk takes them out and puts them back."""

import time
from typing import Any

import pytest

from hypersweep.core.secrets import WITHHELD, given, is_secret, literals, withheld


def spec(**container: Any) -> dict[str, Any]:
    """A spec as it is written, of one container."""
    made = {"name": "train", "image": "i", **container}
    return {"job": {"template": {"spec": {"template": {"spec": {"containers": [made]}}}}}, "trials": {"max": 3}}


@pytest.mark.parametrize(
    "name",
    [
        "WANDB_API_KEY",
        "HF_TOKEN",
        "DB_PASSWORD",
        "aws_secret_access_key",
        "AWS_ACCESS_KEY_ID",
        "apiKey",
        "api-key",
        "db.password",
        "PGPASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "OPENAI_KEY",
        "HTTP_AUTH",
        "MYSQL_PWD",
        "PRIVATE_KEY",
        "PASSWORD_2",
        "githubToken",
    ],
)
def test_names_that_call_their_value_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "DATA",
        "TOKENIZERS_PARALLELISM",
        "max_tokens",
        "n-tokens",
        "TOKEN_FILE",
        "token_dim",
        "pad_token",
        "--eos-token",
        "AUTHOR",
        "monkey",
        "keyboard",
        "private",
        "compass",
        "SECRET_NAME",
        "num_keypoints",
        "tokenizer",
        "image_key",
        "--sort-key",
        "PUBLIC_KEY",
    ],
)
def test_names_that_only_look_like_it(name: str) -> None:
    """Language models are full of tokens; a path to a secret is none."""
    assert not is_secret(name)


CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {  # a container's fields, and name -> value of what is found
    "a variable": ({"env": [{"name": "HF_TOKEN", "value": "hunter2"}]}, {"HF_TOKEN": "hunter2"}),
    "a flag with its value": ({"args": ["--api-key=hunter2", "--lr=1"]}, {"API_KEY": "hunter2"}),
    "a flag before its value": ({"args": ["--token", "hunter2", "--lr", "1"]}, {"TOKEN": "hunter2"}),
    "a Hydra override": ({"command": ["train", "+db.password=hunter2"]}, {"DB_PASSWORD": "hunter2"}),
    "a script": (
        {"command": ["sh", "-c", "export A_TOKEN=hunter2; login --password 'hunter3' && train --lr 1"]},
        {"A_TOKEN": "hunter2", "PASSWORD": "hunter3"},
    ),
    "a URL in a variable": (
        {"env": [{"name": "DATABASE", "value": "postgres://ml:hunter2@db:5432/x"}]},
        {"ML_PASSWORD": "hunter2"},
    ),
    "a URL in a flag": ({"args": ["--proxy=http://:hunter2@p"]}, {"URL_PASSWORD": "hunter2"}),
    "two of them": (
        {"args": ["--token=hunter2"], "env": [{"name": "A_KEY", "value": "hunter3"}]},
        {"TOKEN": "hunter2", "A_KEY": "hunter3"},
    ),
    "a header of a probe": (
        {"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "hunter2"}]}}},
        {"AUTHORIZATION": "hunter2"},
    ),
    "a reference to a Secret": (
        {"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}]},
        {},
    ),
    "a reference to a variable": (
        {"args": ["--token=$(HF_TOKEN)", "--key", "$(A_KEY)"], "command": ["sh", "-c", 'login --token "$HF_TOKEN"']},
        {},
    ),
    "nothing secret": (
        {
            "args": ["--max-tokens=512", "--data=s3://bucket/x", "--image=a/b@sha256:1"],
            "env": [{"name": "A", "value": "b"}],
        },
        {},
    ),
    "JSON in a variable": (
        {"env": [{"name": "CONFIG", "value": '{"lr": 1, "api_key": "hunter2"}'}]},
        {"API_KEY": "hunter2"},
    ),
    "an empty value": ({"env": [{"name": "HF_TOKEN", "value": ""}]}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_found_withheld_and_put_back(case: str) -> None:
    """Nothing of them is left, nothing else is touched, and the walk over what is left finds the same places."""
    container, expected = CASES[case]
    document = spec(**container)
    found = literals(document)
    assert {s.name: s.value for s in found} == expected
    hidden = withheld(document)
    assert "hunter" not in str(hidden)
    assert [(s.path, s.name, s.value) for s in literals(hidden)] == [(s.path, s.name, WITHHELD) for s in found]
    assert given(hidden, expected) == document
    assert given(hidden, {}) == hidden


def test_settings_and_annotations_are_looked_at_by_their_keys_and_the_search_is_not() -> None:
    """A parameter may be called what it likes."""
    document = {
        "trainer": {"settings": {"hub": {"token": "hunter2"}, "hub_token": "hunter3", "epochs": 3}},
        "job": {"template": {"metadata": {"annotations": {"example.com/token": "hunter4", "sidecar": "no"}}}},
        "initialTrials": [{"name": "token", "parameters": {"token": "a"}}],
        "strategy": {"settings": {"token": "b"}},
    }
    assert [s.path for s in literals(document)] == [
        "trainer.settings.hub.token",
        "trainer.settings.hub_token",
        "job.template.metadata.annotations.example.com/token",
    ]
    assert withheld(document)["initialTrials"] == document["initialTrials"]


def test_each_place_is_named() -> None:
    found = literals(
        spec(args=["--lr=1", "--token=x"], env=[{"name": "A", "value": "b"}, {"name": "B_KEY", "value": "c"}])
    )
    container = "job.template.spec.template.spec.containers[0]"
    assert [s.path for s in found] == [f"{container}.args[1]", f"{container}.env[1].value"]


def test_what_an_older_version_withheld_is_found_too() -> None:
    """Its rule took other names for secrets; the value is gone all the same."""
    (found,) = literals(spec(env=[{"name": "TOKENIZERS_PARALLELISM", "value": WITHHELD}]))
    assert found.name == "TOKENIZERS_PARALLELISM"


@pytest.mark.parametrize("text", ["x" * 300_000, "a-" * 150_000, "://a:" * 60_000, "--a " * 75_000, "a='" * 100_000])
def test_a_long_text_takes_no_time(text: str) -> None:
    """A spec of 300 KB is looked at whenever it is written down."""
    began = time.process_time()
    assert literals(spec(args=[text])) == []
    assert time.process_time() - began < 2
