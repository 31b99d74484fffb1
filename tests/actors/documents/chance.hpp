// Random documents, filters and orders: few names and values, so that they meet, and among them whatever has broken
// such stores before.
#pragma once

#include "tests/support/documents_reference.hpp"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace colloquy::chance {

class source {
public:
  explicit source(std::uint64_t seed)
    : engine_(seed) {}

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }
  bool one_in(std::size_t times) { return below(times) == 0; }
  template <class Value>
  const Value& of(const std::vector<Value>& values) {
    return values[below(values.size())];
  }

  std::string field();
  reference::value scalar();
  reference::value document(const std::string& id);
  reference::value filter(int depth_max);
  /// What an update sets.
  reference::value changes(const std::vector<std::string>& ids);
  reference::order order();
  std::vector<reference::field_order> field_orders();
  std::optional<std::string> user();
  std::string id();
  reference::value creation();

private:
  reference::value any_value(int depth_max);
  reference::value operators();

  std::mt19937_64 engine_;
};

} // namespace colloquy::chance
