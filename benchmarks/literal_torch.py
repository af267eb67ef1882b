"""CTSDG in PyTorch as it is published, for comparisons.

Every mask has as many channels as its feature, and a convolution as large as that of
the feature counts its valid pixels. The attention processes one image after the other,
with patches as the kernels of two convolutions. Modules are named as in the authors'
checkpoints, so that their state dicts load. Tensors are NCHW. Unlike in the rest of
this package, a mask is 1 where a pixel is valid and 0 in the hole.
"""

import torch
from torch import nn
from torch.nn import functional as F

ENCODER = ((64, 7), (128, 5), (256, 5), (512, 3), (512, 3), (512, 3), (512, 3))
DECODER = (64, 64, 128, 256, 512, 512, 512)


class PartialConv(nn.Module):
    """A block of either stream: partial convolution, batch norm and activation."""

    def __init__(self, inputs, outputs, kernel, stride, activation, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if norm else None
        self.activation = activation
        ones = torch.ones(outputs, inputs, kernel, kernel)
        self.register_buffer("ones", ones, persistent=False)

    def forward(self, x, mask):
        with torch.no_grad():
            stride, padding = self.conv.stride, self.conv.padding
            count = F.conv2d(mask, self.ones, stride=stride, padding=padding)
            updated = count.clamp(0, 1)
            ratio = self.ones[0].numel() / (count + 1e-8) * updated
        x = self.conv(x * mask) * ratio
        if self.bn is not None:
            x = self.bn(x)
        return self.activation(x), updated


class Resolver(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(64, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)

    def forward(self, x):
        hidden = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(hidden)))


class Projection(nn.Module):
    """The prediction of one stream, an image or an edge map."""

    def __init__(self, stream, channels, activation):
        super().__init__()
        self.add_module(f"{stream}_resolver", Resolver())
        self.out_layer = nn.Sequential(nn.Conv2d(64, channels, 1), activation)

    def forward(self, x):
        resolver, _ = self.children()
        return self.out_layer(resolver(x))


class GatedFusion(nn.Module):
    def __init__(self):
        super().__init__()
        for gate in ("structure_gate", "texture_gate"):
            convolution = nn.Conv2d(128, 64, 3, padding=1)
            self.add_module(gate, nn.Sequential(convolution, nn.Sigmoid()))
        self.structure_gamma = nn.Parameter(torch.zeros(1))
        self.texture_gamma = nn.Parameter(torch.zeros(1))

    def forward(self, texture, structure):
        both = torch.cat([texture, structure], 1)
        structure_gate, texture_gate = (
            self.structure_gate(both),
            self.texture_gate(both),
        )
        texture = texture + self.texture_gamma * (structure_gate * structure)
        structure = structure + self.structure_gamma * (texture_gate * texture)
        return torch.cat([texture, structure], 1)


def region_affinity(background, foreground):
    """Contextual attention, one image after the other."""
    foreground = F.interpolate(
        foreground, scale_factor=0.5, mode="bilinear", align_corners=True
    )
    _, channels, height, width = foreground.shape
    filled = []
    for back, fore in zip(background.split(1), foreground.split(1), strict=True):
        keys = F.unfold(fore, 3, padding=1).transpose(1, 2)
        keys = keys.reshape(height * width, channels, 3, 3)
        norms = keys.square().sum((1, 2, 3), keepdim=True).sqrt()
        values = F.unfold(back, 4, padding=1, stride=2).transpose(1, 2)
        values = values.reshape(height * width, channels, 4, 4)
        scores = F.conv2d(fore, keys / norms.clamp_min(1e-4), padding=1)
        attention = F.softmax(10 * scores, 1).clamp_min(1e-8)
        filled.append(F.conv_transpose2d(attention, values, stride=2, padding=1) / 4)
    return torch.cat(filled)


class MultiScale(nn.Module):
    def __init__(self):
        super().__init__()
        for i, rate in enumerate((1, 2, 4, 8)):
            branch = nn.Conv2d(64, 64, 3, padding=rate, dilation=rate)
            self.add_module(f"dilated_conv_{i}", nn.Sequential(branch, nn.ReLU()))
        self.weight_calc = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 4, 1),
            nn.ReLU(),
            nn.Softmax(1),
        )

    def forward(self, x):
        weights = self.weight_calc(x)
        return sum(
            self.get_submodule(f"dilated_conv_{i}")(x) * weights[:, i : i + 1]
            for i in range(4)
        )


class ContextualAggregation(nn.Module):
    def __init__(self):
        super().__init__()
        self.msfa = MultiScale()

    def forward(self, background, foreground):
        return self.msfa(region_affinity(background, foreground))


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        for stream, channels in (("texture", 3), ("structure", 2)):
            widths = [channels, *(width for width, _ in ENCODER)]
            for i, (width, kernel) in enumerate(ENCODER, start=1):
                block = PartialConv(
                    widths[i - 1], width, kernel, 2, nn.ReLU(), norm=i > 1
                )
                self.add_module(f"ec_{stream}_{i}", block)
            below = widths[-1]
            for i in range(7, 0, -1):
                inputs, width = below + widths[i - 1], DECODER[i - 1]
                block = PartialConv(inputs, width, 3, 1, nn.LeakyReLU(0.2))
                self.add_module(f"dc_{stream}_{i}", block)
                below = width
        self.structure_feature_projection = Projection("structure", 1, nn.Sigmoid())
        self.texture_feature_projection = Projection("texture", 3, nn.Tanh())
        self.bigff = GatedFusion()
        self.fusion_layer1 = nn.Sequential(
            nn.Conv2d(128, 64, 3, 2, 1), nn.LeakyReLU(0.2)
        )
        self.cfa = ContextualAggregation()
        self.fusion_layer2 = nn.Sequential(
            nn.Conv2d(128, 64, 3, padding=1), nn.LeakyReLU(0.2)
        )
        self.out_layer = nn.Sequential(nn.Conv2d(192, 3, 1), nn.Tanh())

    def forward(self, image, gray, edge, mask):
        """Return the filled image and the predictions of both streams."""
        inputs = {"texture": image, "structure": torch.cat([edge, gray], 1)}
        levels = {name: self.encode(name, x, mask) for name, x in inputs.items()}
        texture = self.decode("texture", levels["structure"][-1], levels["texture"])
        structure = self.decode("structure", levels["texture"][-1], levels["structure"])
        fused = self.bigff(texture, structure)
        reduced = self.fusion_layer1(fused)
        joined = torch.cat([reduced, self.cfa(reduced, reduced)], 1)
        merged = bilinear(self.fusion_layer2(joined))
        return (
            self.out_layer(torch.cat([merged, fused], 1)),
            self.texture_feature_projection(texture),
            self.structure_feature_projection(structure),
        )

    def encode(self, stream, x, mask):
        mask = mask.expand_as(x)
        levels = [(x * mask, mask)]
        for i in range(1, 8):
            levels.append(self.get_submodule(f"ec_{stream}_{i}")(*levels[-1]))
        return levels

    def decode(self, stream, bottleneck, levels):
        x, mask = bottleneck
        for i in range(7, 0, -1):
            skip, skip_mask = levels[i - 1]
            x = torch.cat([bilinear(x), skip], 1)
            mask = torch.cat([F.interpolate(mask, scale_factor=2), skip_mask], 1)
            x, mask = self.get_submodule(f"dc_{stream}_{i}")(x, mask)
        return x


def bilinear(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Branch(nn.Module):
    """Spectral convolutions to the probability that each patch is real."""

    def __init__(self, channels):
        super().__init__()
        widths = (channels, 64, 128, 256, 512, 1)
        for i, stride in enumerate((2, 2, 2, 1, 1), start=1):
            convolution = nn.Conv2d(widths[i - 1], widths[i], 4, stride, 1, bias=False)
            normed = nn.utils.spectral_norm(convolution)
            last = nn.Identity() if i == 5 else nn.LeakyReLU(0.2)
            self.add_module(f"conv{i}", nn.Sequential(normed, last))

    def forward(self, x):
        for convolution in self.children():
            x = convolution(x)
        return torch.sigmoid(x)


class EdgeDetector(nn.Module):
    def __init__(self):
        super().__init__()

        def convolution(channels):
            return nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16)

        self.projection = nn.Sequential(*convolution(3), nn.ReLU())
        self.res_layer = nn.Sequential(*convolution(16), nn.ReLU(), *convolution(16))
        self.out_layer = nn.Sequential(nn.Conv2d(16, 1, 1))

    def forward(self, x):
        x = self.projection(x)
        return torch.sigmoid(self.out_layer(F.relu(x + self.res_layer(x))))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.texture_branch = Branch(3)
        self.structure_branch = Branch(2)
        self.edge_detector = EdgeDetector()

    def forward(self, image, gray, real_edge=None):
        detected = self.edge_detector(image)
        edge = detected if real_edge is None else real_edge
        texture = self.texture_branch(image)
        structure = self.structure_branch(torch.cat([edge, gray], 1))
        return torch.cat([texture, structure], 1), detected
