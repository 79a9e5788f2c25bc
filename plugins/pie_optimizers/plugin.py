"""Declares the optimizers; imports no torch."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_optimizers.settings import AdaDeltaConfig, AdamConfig, TorchConfig

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.OPTIMIZER,
            "adadelta",
            "pie_optimizers.adadelta:AdaDelta",
            config=AdaDeltaConfig,
            summary="AdaDelta, the paper's choice.",
        ),
        component(
            Kind.OPTIMIZER,
            "adam",
            "pie_optimizers.adam:Adam",
            config=AdamConfig,
            summary="Adam.",
        ),
        component(
            Kind.OPTIMIZER,
            "torch",
            "pie_optimizers.torch_optim:TorchOptim",
            config=TorchConfig,
            summary="Any optimizer of torch.optim by its name, such as NAdam.",
        ),
    ]
