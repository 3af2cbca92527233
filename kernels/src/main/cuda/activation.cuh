// What becomes of the sums of a product: codes of arguments.h, and the activations of MLPs.
#pragma once

#include "device.cuh"

constexpr int epilogueAdd = 1;
constexpr int epilogueSilu = 2;
constexpr int epilogueGelu = 3;

DEVICE float silu(float x) { return x / (1.0f + expf(-x)); }
DEVICE float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
DEVICE float geluTanh(float x) {
  return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}
