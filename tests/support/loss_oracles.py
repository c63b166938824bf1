"""Slow plain Python formulas of the losses, for one clip each, and random cases to compare them on."""

import itertools
import math

import torch


def random_case(seed, batch, num_classes, dtype=torch.float64):
    """Logits and targets; every other row of targets is votes of ten, which holds zeros."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(batch, num_classes, generator=generator, dtype=dtype)
    targets = torch.rand(batch, num_classes, generator=generator, dtype=dtype)
    votes = torch.randint(num_classes, (batch, 10), generator=generator)
    counted = torch.stack([(votes == k).sum(dim=1) for k in range(num_classes)], dim=1).to(dtype)
    targets[::2] = counted[::2]
    return logits, targets / targets.sum(dim=1, keepdim=True)


def softmax(scores):
    powers = [math.exp(z - max(scores)) for z in scores]
    return [e / sum(powers) for e in powers]


def kl(y, p):
    return sum(a * math.log(a / b) for a, b in zip(y, p, strict=True) if a > 0)


def cross_entropy(scores, y):
    return -sum(a * math.log(b) for a, b in zip(y, softmax(scores), strict=True))


def kl_loss(scores, y):
    return kl(y, softmax(scores))


def jensen_shannon(scores, y):
    p = softmax(scores)
    m = [(a + b) / 2 for a, b in zip(y, p, strict=True)]
    return (kl(y, m) + kl(p, m)) / 2


def brier(scores, y):
    return sum((a - b) ** 2 for a, b in zip(y, softmax(scores), strict=True))


def ordered(scores, y, power=2, positions=None):
    p = softmax(scores)
    places = positions or list(range(len(y)))
    return sum((places[k + 1] - places[k]) * abs(sum(p[: k + 1]) - sum(y[: k + 1])) ** power for k in range(len(y) - 1))


def intensity_aware(scores, y):
    """The expectation of the publication's formula, word for word."""
    total = 0.0
    for t, share in enumerate(y):
        strongest = max(x for k, x in enumerate(scores) if k != t)
        total += share * -math.log(math.exp(scores[t]) / (math.exp(scores[t]) + math.exp(strongest)))
    return total


def entropic_transport(a, b, metric, blur, sweeps=3000):
    """OT with entropy, of scaled kernels in the plain domain: the cost plus blur times KL(plan || a x b)."""
    size = range(len(a))
    kernel = [[math.exp(-metric[i][j] / blur) for j in size] for i in size]
    u, v = [1.0] * len(a), [1.0] * len(a)
    for _ in range(sweeps):
        u = [1.0 / sum(b[j] * v[j] * kernel[i][j] for j in size) for i in size]
        v = [1.0 / sum(a[i] * u[i] * kernel[i][j] for i in size) for j in size]
    return blur * sum(a[i] * math.log(u[i]) + b[i] * math.log(v[i]) for i in size)


def sinkhorn_divergence(scores, y, metric, blur, sweeps=3000):
    p = softmax(scores)
    both, model, target = (entropic_transport(a, b, metric, blur, sweeps) for a, b in ((p, y), (p, p), (y, y)))
    return both - (model + target) / 2


def exact_transport(a, b, metric):
    """Cost of carrying whole numbers a to b: cheapest paths one after the other (Bellman-Ford), exact."""
    size = range(len(a))
    a, b, cost = list(a), list(b), 0.0
    carried = [[0] * len(a) for _ in size]
    while sum(a) > 0:
        # Nodes (0, i) hold what is left of a, nodes (1, j) what b still lacks.
        length = {(0, i): 0.0 if a[i] else math.inf for i in size} | {(1, j): math.inf for j in size}
        before = {}
        for _ in range(2 * len(a)):
            for i in size:
                for j in size:
                    if length[0, i] + metric[i][j] < length[1, j] - 1e-12:
                        length[1, j], before[1, j] = length[0, i] + metric[i][j], (0, i)
                    if carried[i][j] and length[1, j] - metric[i][j] < length[0, i] - 1e-12:
                        length[0, i], before[0, i] = length[1, j] - metric[i][j], (1, j)
        path = [min(((1, j) for j in size if b[j]), key=length.__getitem__)]
        while path[-1] in before:
            path.append(before[path[-1]])
        path.reverse()
        moves = list(itertools.pairwise(path))
        back = [carried[v[1]][u[1]] for u, v in moves if u[0] == 1]
        amount = min([a[path[0][1]], b[path[-1][1]], *back])
        for u, v in moves:
            i, j, sign = (u[1], v[1], 1) if u[0] == 0 else (v[1], u[1], -1)
            carried[i][j] += sign * amount
            cost += sign * amount * metric[i][j]
        a[path[0][1]] -= amount
        b[path[-1][1]] -= amount
    return cost
