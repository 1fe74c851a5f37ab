"""The best model of a complete sweep, as a version of a registered model: an errand like others (`errand.py`).

Which trial's it is, `core/on_complete.py` says; what registering means to MLflow, `tracking/registering.py`. Doing it twice
makes one version.
"""

from hypersweep.controller.book import Book
from hypersweep.controller.errand import Errand, Said
from hypersweep.core import on_complete
from hypersweep.core.errors import TrackingError, TrackingNotFound, TrackingRefused
from hypersweep.core.on_complete import NOT_REGISTERED, PENDING, REGISTERED
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import SweepSpec
from hypersweep.tracking import records
from hypersweep.tracking.ledger import Ledger
from hypersweep.tracking.registering import NoModel, register

AGAIN = "change spec.retry, or anything else in the spec, to have it tried again"


class Registrar(Errand):
    """One sweep's registration."""

    field = on_complete.FIELD
    pauses = (2.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # a server that is moved is back by then

    def owed(self, spec: SweepSpec, ending: Ending) -> Said:
        if spec.on_complete is None:
            return {}
        said = on_complete.asked(spec.on_complete)
        if not ending.complete:
            message = f"the sweep did not complete ({ending.reason}), so no model is registered"
            return {**said, "state": NOT_REGISTERED, "reason": "SweepFailed", "message": message}
        return {**said, "state": PENDING}

    async def do(self, spec: SweepSpec, ledger: Ledger, book: Book) -> Said:
        wanted, trial = spec.on_complete, on_complete.chosen(spec, book.tally.leaders)
        assert wanted is not None  # noqa: S101  (else it would not be owed)
        said = on_complete.asked(wanted)
        if trial is None:
            return {
                **said,
                "state": NOT_REGISTERED,
                "reason": "NoTrial",
                "message": "MLflow holds no trial any more that may win, so there is no model to register",
            }
        run = trial.source or trial.run  # of a reused result, the run that trained
        said |= {"trial": trial.index, "run": {"id": run}}
        tags = {
            records.SWEEP: records.clean(ledger.identity.sweep, records.MESSAGE_LIMIT),
            records.TRIAL: str(trial.index),
        }
        try:
            version = await register(ledger.store, run, name=wanted.register_model, alias=wanted.alias or "", tags=tags)
        except TrackingNotFound as error:
            return {**self.failed(error), **said, "reason": "NoRun"}
        except TrackingRefused as error:
            return {**self.failed(error), **said}
        alias = f", alias {wanted.alias}" if wanted.alias else ""
        message = f"version {version} of {wanted.register_model}{alias}: the model of trial {trial.index}"
        return {**said, "state": REGISTERED, "version": version, "message": message}

    def failed(self, error: Exception) -> Said:
        named = {key: self.status[key] for key in ("name", "alias") if key in self.status}
        message = str(error) if isinstance(error, TrackingError) else f"{type(error).__name__}: {error}"
        return {**named, "state": NOT_REGISTERED, "reason": _reason(error), "message": f"{message}; {AGAIN}"}


def _reason(error: Exception) -> str:
    if isinstance(error, NoModel):
        return "NoModel"
    if isinstance(error, TrackingRefused):
        return "Refused"
    return "TrackingUnavailable" if isinstance(error, TrackingError) else "Failed"
