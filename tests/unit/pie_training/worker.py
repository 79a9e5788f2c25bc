"""What one of several processes does in test_distributed; its argument is the folder that it writes to."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from pie_framework.testing.toys import ToyEncoder, ToyFaceModel, ToyGenerator, ToyLandmarks
from pie_mofa.settings import Architecture as EncoderArchitecture
from pie_mofa.settings import SampleTraining, TrainEncoderConfig
from pie_mofa.training import train_encoder
from pie_stylerig.network import RigNet
from pie_stylerig.settings import Architecture, TrainRigConfig
from pie_stylerig.training import train_rig
from pie_training import EngineSettings
from pie_training.processes import average_gradients, share, start

SMALL = EncoderArchitecture(input_size=16, widths=(8, 8), squeeze=8, hidden=32)


def gradients(accelerator: Accelerator) -> dict[str, Tensor]:
    """Of the mean squared error of a line on eight points, of which each process has its part."""
    rng = torch.Generator().manual_seed(4)
    part = slice(accelerator.process_index, None, accelerator.num_processes)
    x, wanted = torch.randn(8, 3, generator=rng)[part], torch.randn(8, 2, generator=rng)[part]
    torch.manual_seed(accelerator.process_index)
    network = nn.Linear(3, 2)
    share(accelerator, network.state_dict().values())
    torch.autograd.backward((network(x) - wanted).square().mean())
    average_gradients(accelerator, network)
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def train(accelerator: Accelerator, folder: Path) -> None:
    """Both recipes, for a few steps, and what each process has in the end."""
    model = ToyFaceModel()
    generator = ToyGenerator(model)
    encoder = TrainEncoderConfig(
        output=str(folder / "encoder"), steps=6, batch=4, render_size=16, measure_every=3, precision="float32",
        measure_portraits=8, architecture=SMALL, samples=SampleTraining(pool=16, refresh_every=2), patience=9,
    )  # fmt: skip
    train_encoder(encoder, model, None, None, generator, ToyLandmarks(model), report=print)
    rig = TrainRigConfig(
        output=str(folder / "rig"), blocks=("rotation", "expression"), steps=6, pool=64, mlp_hidden=8, mlp_steps=4,
        batch=4, image_batch=2, refresh_every=2, refresh=4, refresh_steps=2, render_size=16, metric_samples=1,
        precision="float32", measure_every=3, measure_latents=4, architecture=Architecture(code=4), learning_rate=1e-2,
    )  # fmt: skip
    train_rig(rig, generator, ToyEncoder(model), model, report=print)
    # Every process reads what process 0 wrote.
    weights = RigNet.load(folder / "rig" / "rig_rotation.safetensors").decoder.weight
    print("ended", accelerator.process_index, float(weights.detach().abs().sum()) > 0)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    accelerator = start(EngineSettings(steps=1, precision="float32"), "cpu", folder)
    torch.save(gradients(accelerator), folder / f"{accelerator.process_index}.pt")
    train(accelerator, folder)


if __name__ == "__main__":
    main()
