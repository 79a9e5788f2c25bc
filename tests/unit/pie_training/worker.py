"""What one of several processes does in test_distributed; its argument is the folder that it writes to."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from pie_framework.testing.toys import TOY_LAYOUT, ToyEncoder, ToyFaceModel, ToyGenerator, ToyLandmarks
from pie_mofa.network import MofaEncoder
from pie_mofa.settings import Architecture as EncoderArchitecture
from pie_mofa.settings import SampleTraining, TrainEncoderConfig
from pie_mofa.training import train_encoder
from pie_stylerig.network import RigNet
from pie_stylerig.settings import Architecture, TrainRigConfig
from pie_stylerig.training import train_rig
from pie_training.distributed import Processes, join

SMALL = EncoderArchitecture(input_size=16, widths=(8, 8), squeeze=8, hidden=32)
BATCH = 8


def batch() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    return torch.randn(BATCH, 3, 16, 16, generator=rng), torch.randn(BATCH, TOY_LAYOUT.size, generator=rng)


def gradients(processes: Processes) -> dict[str, Tensor]:
    """Of the mean squared error of a batch, of which each process has its part."""
    images, wanted = (part.chunk(processes.size)[processes.rank] for part in batch())
    torch.manual_seed(0)
    encoder = MofaEncoder(TOY_LAYOUT, SMALL).train()
    encoder.encode(images)  # moves the running statistics
    loss = (encoder.encode(images) - wanted).square().mean()
    torch.autograd.backward(loss)
    processes.average_gradients(encoder.parameters())
    found = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    return {**found, **{f"buffer.{name}": value for name, value in encoder.named_buffers()}}


def train(processes: Processes, folder: Path) -> None:
    """Both recipes, for a few steps, and what each process has in the end."""
    model = ToyFaceModel()
    generator = ToyGenerator(model)
    encoder = TrainEncoderConfig(
        output=str(folder / "encoder"), steps=6, batch=4, render_size=16, measure_every=3, precision="float32",
        measure_portraits=8, architecture=SMALL, samples=SampleTraining(pool=16, refresh_every=2), patience=9,
    )  # fmt: skip
    train_encoder(encoder, model, None, None, generator, ToyLandmarks(model), processes, report=print)
    rig = TrainRigConfig(
        output=str(folder / "rig"), blocks=("rotation", "expression"), steps=6, pool=64, mlp_hidden=8, mlp_steps=4,
        batch=4, image_batch=2, refresh_every=2, refresh=4, refresh_steps=2, render_size=16, metric_samples=1,
        precision="float32", measure_every=3, measure_latents=4, architecture=Architecture(code=4), learning_rate=1e-2,
    )  # fmt: skip
    train_rig(rig, generator, ToyEncoder(model), model, processes=processes, report=print)
    # Every process reads what process 0 wrote.
    weights = RigNet.load(folder / "rig" / "rig_rotation.safetensors").decoder.weight
    print("ended", processes.rank, float(weights.detach().abs().sum()) > 0)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    processes = join("cpu")
    torch.save(gradients(processes), folder / f"{processes.rank}.pt")
    train(processes, folder)


if __name__ == "__main__":
    main()
