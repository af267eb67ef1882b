"""The published training step in PyTorch, for comparisons.

In a step, the discriminator runs three times, and VGG16 once for each of three images.
Each term of the loss is computed as it is written in the paper.
"""

import torch
from torch import nn
from torch.nn import functional as F

VGG_LEVELS = ((64, 2), (128, 2), (256, 3))


class VGG16(nn.Module):
    """Features after the first three poolings."""

    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width, count in VGG_LEVELS:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(self, x):
        levels = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                levels.append(x)
        return levels


def gram(x):
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, -1)
    return x @ x.transpose(1, 2) / (channels * height * width)


class Training:
    """The published training step, with the paper's optimizers."""

    def __init__(self, generator, discriminator, vgg, precision=None):
        self.generator, self.discriminator, self.vgg = generator, discriminator, vgg
        self.precision = precision
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), 2e-4)
        self.discriminator_optimizer = torch.optim.Adam(
            discriminator.parameters(), 2e-5
        )

    def autocast(self):
        device = next(self.generator.parameters()).device.type
        return torch.autocast(device, self.precision, self.precision is not None)

    def step(self, image, gray, edge, mask):
        """Train on a batch, whose mask is 0 in the hole, and return the losses."""
        self.discriminator.requires_grad_(False)
        with self.autocast():
            outputs = self.generator(image * mask, gray * mask, edge * mask, mask)
            losses = self.generator_losses(outputs, image, gray, edge, mask)
        self.generator_optimizer.zero_grad()
        losses["generator_loss"].backward()
        self.generator_optimizer.step()

        self.discriminator.requires_grad_(True)
        with self.autocast():
            output = outputs[0].detach()
            real, real_edge = self.discriminator(image, gray, edge)
            fake, fake_edge = self.discriminator(output, gray)
        losses["discriminator_loss"] = (
            cross_entropy(real, torch.ones_like(real))
            + cross_entropy(fake, torch.zeros_like(fake))
            + cross_entropy(real_edge, edge)
            + cross_entropy(fake_edge, edge)
        )
        self.discriminator_optimizer.zero_grad()
        losses["discriminator_loss"].backward()
        self.discriminator_optimizer.step()
        return losses

    def generator_losses(self, outputs, image, gray, edge, mask):
        output, projected_image, projected_edge = outputs
        composite = image * mask + output * (1 - mask)
        fake, fake_edge = self.discriminator(output, gray)
        target_levels = self.vgg(image)
        perceptual = style = 0
        for filled in (output, composite):
            for level, target in zip(self.vgg(filled), target_levels, strict=True):
                perceptual = perceptual + F.l1_loss(level, target)
                style = style + F.l1_loss(gram(level), gram(target))
        terms = {
            "hole": F.l1_loss((1 - mask) * output, (1 - mask) * image),
            "valid": F.l1_loss(mask * output, mask * image),
            "perceptual": perceptual,
            "style": style,
            "adversarial": cross_entropy(fake, torch.ones_like(fake))
            + cross_entropy(fake_edge, edge),
            "intermediate": cross_entropy(projected_edge, edge)
            + F.l1_loss(projected_image, image),
        }
        weights = (60, 10, 0.1, 250, 0.1, 1)
        total = sum(w * x for w, x in zip(weights, terms.values(), strict=True))
        return {"generator_loss": total, **terms}


def cross_entropy(prediction, target):
    # PyTorch does not allow cross-entropy of probabilities under autocast.
    with torch.autocast(prediction.device.type, enabled=False):
        return F.binary_cross_entropy(prediction.float(), target.float())
