"""Make the numbers that the tests compare LoRALinear and DoRALinear with: PEFT's layers on the same input.

    python -m tools.references.make_lora

Needs torch and peft, which `make parity` installs. Writes tests/adapters/reference/lora_linear.npz, with keys such as
`bias/...`, one set for each of CASES: the frozen layer, the two matrices in PEFT's layout (A: rank x inputs, B: outputs
x rank), alpha, of DoRA the magnitudes of a fresh layer and those used, an input, the layer's output before and after
merging, the merged weight, and the gradients of the mean squared output.
"""

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

OUTPUT = Path(__file__).parents[2] / "tests" / "adapters" / "reference" / "lora_linear.npz"
INPUTS, OUTPUTS, RANK, ALPHA = 12, 10, 4, 6
CASES = {
    "bias": (True, {}),
    "no_bias": (False, {}),
    "rank_stabilized": (True, {"use_rslora": True}),
    "dora_bias": (True, {"use_dora": True}),
    "dora_no_bias": (False, {"use_dora": True}),
}


class OneLayer(torch.nn.Module):
    def __init__(self, bias: bool):
        super().__init__()
        self.query = torch.nn.Linear(INPUTS, OUTPUTS, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.query(x)


def case(bias: bool, options: dict[str, bool]) -> dict[str, np.ndarray]:
    torch.manual_seed(7 + bias)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.1, target_modules=["query"], **options)
    model = get_peft_model(OneLayer(bias), config).eval()
    layer = model.base_model.model.query
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.nn.init.normal_(b)  # zero in a fresh adapter
    magnitudes = {}
    if config.use_dora:
        trained = layer.lora_magnitude_vector["default"].weight
        magnitudes = {"fresh_magnitude": trained.detach().clone(), "magnitude": trained}
        with torch.no_grad():
            trained *= torch.linspace(0.5, 1.5, OUTPUTS)
    x = torch.randn(3, 5, INPUTS)
    output = model(x)
    output.square().mean().backward()
    arrays = {
        "x": x,
        "weight": layer.base_layer.weight,
        "a": a,
        "b": b,
        "alpha": torch.tensor(float(ALPHA)),
        "output": output,
        "gradient_a": a.grad,
        "gradient_b": b.grad,
        **magnitudes,
    }
    if config.use_dora:
        arrays["gradient_magnitude"] = trained.grad
    if bias:
        arrays["bias"] = layer.base_layer.bias
    arrays = {name: array.detach().numpy().copy() for name, array in arrays.items()}
    merged = model.merge_and_unload()
    arrays["merged_weight"] = merged.query.weight.detach().numpy()
    arrays["merged_output"] = merged(x).detach().numpy()
    return arrays


def main() -> None:
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    cases = {name: case(*settings) for name, settings in CASES.items()}
    arrays = {f"{name}/{key}": array for name, arrays in cases.items() for key, array in arrays.items()}
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.stat().st_size} bytes  {OUTPUT}")


if __name__ == "__main__":
    main()
