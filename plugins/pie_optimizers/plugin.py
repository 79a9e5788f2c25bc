"""Declares the optimizers; imports no torch."""

from __future__ import annotations

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_optimizers.settings import AdaDeltaConfig, AdamConfig, TorchConfig

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_components() -> list[Component]:
    return [
        Component(
            Kind.OPTIMIZER,
            "adadelta",
            "pie_optimizers.adadelta:AdaDelta",
            config=AdaDeltaConfig,
            summary="AdaDelta, the paper's choice.",
            api_version=API,
        ),
        Component(
            Kind.OPTIMIZER,
            "adam",
            "pie_optimizers.adam:Adam",
            config=AdamConfig,
            summary="Adam.",
            api_version=API,
        ),
        Component(
            Kind.OPTIMIZER,
            "torch",
            "pie_optimizers.torch_optim:TorchOptim",
            config=TorchConfig,
            summary="Any optimizer of torch.optim by its name, such as NAdam.",
            api_version=API,
        ),
    ]
