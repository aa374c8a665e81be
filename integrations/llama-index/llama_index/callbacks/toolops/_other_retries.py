"""Notice when a workflow runs a failed step again, since the attempts of two retries multiply.

Then a call in the step is tried once: the policy has tried as often as it may at the first run.
"""

from __future__ import annotations

import sys

from toolops_plugins.adapters.model_policy import may_pass

__all__ = ["is_passing"]


def is_passing(error: BaseException) -> bool:
    """Return whether a failed call of a model is worth another attempt."""
    return may_pass(error) and not _is_step_repeated()


def _is_step_repeated() -> bool:
    results = sys.modules.get("workflows.runtime.types.results")
    if results is None:  # then nobody can be in a step
        return False
    step = results.StepWorkerStateContextVar.get(None)
    return getattr(getattr(step, "retry", None), "retry_number", 0) > 0
