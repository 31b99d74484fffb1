// The one place that knows which Catch2 there is: 2.13 (Debian 12) or 3 (everywhere else).
// Tests include this and nothing else of Catch2.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
namespace colloquy::test {
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
} // namespace colloquy::test
#else
#include <catch2/catch.hpp>
namespace colloquy::test {
// Catch2 3 renamed Contains (for text) to ContainsSubstring; the newer name is used throughout.
inline auto ContainsSubstring(const std::string& text) {
  return Catch::Matchers::Contains(text);
}
using Catch::Matchers::StartsWith;
} // namespace colloquy::test
#endif
