"""MLflow's registry of models by its REST API: the operator's adapter, beside `rest.py`, whose transport it uses."""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.tracking import answers, wire
from hypersweep.tracking.base import Run, Version, check_texts

VERSIONS_A_PAGE = 200


class Call(Protocol):
    """One request: the answer's JSON."""

    def __call__(
        self, verb: str, method: str, path: str, content: Mapping[str, Any], *, unguarded: bool = False
    ) -> Awaitable[dict[str, Any]]: ...


class RestModels:
    """Implements base.Models."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def files(self, run: Run, folder: str) -> list[str]:
        """Past the breaker: it is the server that asks the bucket, and that one may be away alone."""
        query = {"run_id": run.id, "path": folder}
        try:
            found = await self._call("list_artifacts", "GET", "artifacts/list", query, unguarded=True)
        except TrackingNotFound:
            return []
        return [str(answers.field(file, "path")).rpartition("/")[2] for file in found.get("files", ())]

    async def versions(self, run: str) -> list[Version]:
        found: list[Version] = []
        query: dict[str, Any] = {"filter": f"run_id = '{run}'", "max_results": VERSIONS_A_PAGE}
        while True:
            page = await self._call("search_model_versions", "GET", "model-versions/search", query)
            found += map(answers.version, page.get("model_versions", ()))
            if not page.get("next_page_token"):
                return sorted(found, key=lambda version: int(version.version))
            query["page_token"] = page["next_page_token"]

    async def create(self, name: str, *, run: str, source: str, model: str, tags: Mapping[str, str]) -> Version:
        check_texts(tags=tags)
        with suppress(TrackingRefused):  # it is there; or it cannot be made: then the next request says so
            await self._call("create_registered_model", "POST", "registered-models/create", {"name": name})
        body = {"name": name, "run_id": run, "source": source, "tags": wire.pairs(tags)}
        if model:
            body["model_id"] = model
        made = await self._call("create_model_version", "POST", "model-versions/create", body)
        return answers.version(answers.field(made, "model_version"))

    async def point(self, name: str, *, alias: str, version: str) -> None:
        body = {"name": name, "alias": alias, "version": version}
        await self._call("set_alias", "POST", "registered-models/alias", body)
