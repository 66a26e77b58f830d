"""Writes tests/data/optimizer_trajectories.json: what PyTorch's optimisers do on a small problem.

    python -m pip install torch
    python scripts/make_optimizer_trajectories.py

The cost f(x) = sum_i (1 + i) (x_i - 0.7)^2 + 0.1 (x_0 x_1 - x_2)^4 + sum_i cos(3 x_i) of eight
numbers is smooth and not quadratic. The learning rate is halved after every 7 of the 20 steps. The
file has x after every step, the keys of NN_config.par, and the version of PyTorch.
"""

import json
from pathlib import Path

START = [0.3, -1.2, 0.9, 2.0, -0.4, 1.4, 0.1, -0.8]
STEPS, GAMMA, EVERY = 20, 0.5, 7
# One iteration per step, with as many trials as the line search has in its own defaults, 25.
_LBFGS = {"max_iter": 1, "max_eval": 26, "line_search_fn": "strong_wolfe"}
CASES = {
    "adam": ("Adam", 0.05, {}, {}),
    "adam, betas": ("Adam", 0.05, {"betas": (0.8, 0.95)}, {"adam_beta1": 0.8, "adam_beta2": 0.95}),
    "adamw": ("AdamW", 0.05, {}, {}),
    "adamax": ("Adamax", 0.05, {}, {}),
    "nadam": ("NAdam", 0.05, {}, {}),
    "radam": ("RAdam", 0.05, {}, {}),
    "radam, betas": (
        "RAdam", 0.05, {"betas": (0.8, 0.95)}, {"adam_beta1": 0.8, "adam_beta2": 0.95}
    ),
    "sgd": ("SGD", 0.01, {}, {}),
    "sgd, momentum": ("SGD", 0.01, {"momentum": 0.6}, {"sgd_momentum": 0.6}),
    "asgd": ("ASGD", 0.01, {}, {}),
    "rmsprop": ("RMSprop", 0.02, {}, {}),
    "rmsprop, momentum": ("RMSprop", 0.02, {"momentum": 0.6}, {"sgd_momentum": 0.6}),
    "adadelta": ("Adadelta", 1.0, {}, {}),
    "adagrad": ("Adagrad", 0.1, {}, {}),
    "lbfgs": ("LBFGS", 1.0, _LBFGS, {}),
    "lbfgs, small": ("LBFGS", 0.1, _LBFGS, {}),
    "lbfgs, large": ("LBFGS", 30.0, _LBFGS, {}),
}  # fmt: skip


def trajectory(name: str, rate: float, options: dict) -> list[list[float]]:
    """x at the start and after every step."""
    import torch

    torch.set_default_dtype(torch.float64)
    x = torch.tensor(START, requires_grad=True)
    weights = 1.0 + torch.arange(len(START))
    optimizer = getattr(torch.optim, name)([x], lr=rate, **options)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, EVERY, GAMMA)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        quartic = 0.1 * (x[0] * x[1] - x[2]) ** 4
        value = (weights * (x - 0.7) ** 2).sum() + quartic + torch.cos(3.0 * x).sum()
        value.backward()
        return value

    found = [x.tolist()]
    for _ in range(STEPS):
        optimizer.step(closure)
        schedule.step()
        found.append(x.tolist())
    return found


def main() -> None:
    """Write the file."""
    import torch

    cases = {
        case: {"keys": {"learning_rate": rate, **keys}, "x": trajectory(name, rate, options)}
        for case, (name, rate, options, keys) in CASES.items()
    }
    schedule = {"scheduler_gamma": GAMMA, "scheduler_step": EVERY, "max_epochs": STEPS}
    made_by = f"scripts/make_optimizer_trajectories.py with PyTorch {torch.__version__}"
    content = {"made_by": made_by, "keys": schedule, "cases": cases}
    file = Path(__file__).parents[1] / "tests" / "data" / "optimizer_trajectories.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
