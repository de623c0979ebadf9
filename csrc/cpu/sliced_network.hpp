// The adder networks, laid out at compile time: which planes meet in which full adder.
//
// Everything here has internal linkage (see kernels.hpp).
#pragma once

#include <cstdint>

namespace hashkernels {
namespace {

enum class StepKind : uint8_t {
  kLoad,      // value[out] = table entry `a` of the query
  kAdd,       // value[out] + 2 * value[out + 1] = value[a] + value[b] + value[c]
  kHalfAdd,   // the same of a and b
  kCarry,     // value[out] = carry of value[a] + value[b] + bound c
  kHalfCarry  // value[out] = carry of value[a] + bound c
};

struct Step {
  StepKind kind;
  uint16_t a, b, c, out;
};

template <int kMaxSteps>
struct Network {
  Step steps[kMaxSteps] = {};
  int num_steps = 0, num_values = 0;
  uint16_t outputs[16] = {};
  int num_outputs = 0;

  constexpr int emit(StepKind kind, int a, int b, int c, int results) {
    steps[num_steps++] = {kind, static_cast<uint16_t>(a), static_cast<uint16_t>(b), static_cast<uint16_t>(c),
                          static_cast<uint16_t>(num_values)};
    num_values += results;
    return num_values - results;
  }
};

// Values that wait for an adder, by weight. As soon as three of a weight wait they meet, so few are alive at any time.
template <int kMaxSteps>
struct Adders {
  Network<kMaxSteps>& network;
  int waiting[16][3] = {};
  int count[16] = {};

  constexpr void push(int weight, int value) {
    for (;;) {
      int* at = waiting[weight];
      at[count[weight]++] = value;
      if (count[weight] < 3) return;
      const int sum = network.emit(StepKind::kAdd, at[0], at[1], at[2], 2);
      at[0] = sum;
      count[weight] = 1;
      value = sum + 1;
      ++weight;
    }
  }
};

constexpr int bits_to_hold(int value) {
  int bits = 0;
  for (; value > 0; value >>= 1) ++bits;
  return bits;
}

constexpr int max_steps(int num_bytes) { return 10 * num_bytes + 40; }

// nodes carries of weight 2 and one parity of weight 1; see sliced_kernels.hpp.
template <int kMaxSteps>
constexpr void load_all(Adders<kMaxSteps>& adders, int nodes) {
  for (int n = 0; n < nodes; ++n) adders.push(1, adders.network.emit(StepKind::kLoad, n, 0, 0, 1));
  adders.push(0, adders.network.emit(StepKind::kLoad, nodes, 0, 0, 1));
}

// Whether the distance plus the bounds, read as a number, carries out of the bounds: one or two outputs, to be or-ed.
template <int kBytes>
constexpr auto make_carry_network() {
  Network<max_steps(kBytes)> network;
  Adders<max_steps(kBytes)> adders{network};
  load_all(adders, 4 * kBytes);
  const int num_bounds = bits_to_hold(8 * kBytes);
  for (int weight = 0; weight < num_bounds; ++weight) {
    const int* at = adders.waiting[weight];
    if (adders.count[weight] == 2) {
      adders.push(weight + 1, network.emit(StepKind::kCarry, at[0], at[1], weight, 1));
    } else if (adders.count[weight] == 1) {
      adders.push(weight + 1, network.emit(StepKind::kHalfCarry, at[0], 0, weight, 1));
    }
  }
  for (int i = 0; i < adders.count[num_bounds]; ++i) {
    network.outputs[network.num_outputs++] = static_cast<uint16_t>(adders.waiting[num_bounds][i]);
  }
  return network;
}

// The distance itself: one output a weight.
template <int kBytes>
constexpr auto make_sum_network() {
  Network<max_steps(kBytes)> network;
  Adders<max_steps(kBytes)> adders{network};
  load_all(adders, 4 * kBytes);
  const int num_bounds = bits_to_hold(8 * kBytes);
  for (int weight = 0; weight < num_bounds; ++weight) {
    const int* at = adders.waiting[weight];
    int sum = at[0];
    if (adders.count[weight] == 2) {
      sum = network.emit(StepKind::kHalfAdd, at[0], at[1], 0, 2);
      adders.push(weight + 1, sum + 1);
    }
    network.outputs[network.num_outputs++] = static_cast<uint16_t>(sum);
  }
  return network;
}

template <int kBytes>
constexpr auto kCarryNetwork = make_carry_network<kBytes>();
template <int kBytes>
constexpr auto kSumNetwork = make_sum_network<kBytes>();

}  // namespace
}  // namespace hashkernels
