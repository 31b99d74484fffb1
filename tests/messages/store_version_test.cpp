#include "messages/store_version.hpp"

#include "tests/support/catch.hpp"

#include <vector>

using namespace colloquy;

TEST_CASE("versions are compared part by part, by the number that a part begins with, then by what is behind it") {
  // Each is older than the next.
  const std::vector<std::string> rising{"",
                                        "a",
                                        "b.x",
                                        "b.1",
                                        "b.2",
                                        "b.10",
                                        "v2",
                                        "v2a",
                                        "v10",
                                        "0",
                                        "0.1",
                                        "0.1.0",
                                        "0.2",
                                        "0.9.9",
                                        "0.10",
                                        "0.10.alpha",
                                        "0.10.beta",
                                        "0.10.0",
                                        "1-alpha",
                                        "1-alpha2",
                                        "1-alpha10",
                                        "1-beta.3",
                                        "1",
                                        "1.0-beta",
                                        "1.0",
                                        "2",
                                        "9a",
                                        "9",
                                        "10",
                                        "18446744073709551616-x",
                                        "18446744073709551616",
                                        "99999999999999999999999999999999"};
  for (std::size_t i = 0; i < rising.size(); ++i)
    for (std::size_t k = 0; k < rising.size(); ++k) {
      INFO("'" << rising[i] << "' and '" << rising[k] << "'");
      CHECK(compare_versions(rising[i], rising[k]) == (i <=> k));
    }
}

TEST_CASE("leading zeros make no other version, and equal versions have one normal text") {
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{{"1", "01"},
                                                                             {"0", "000"},
                                                                             {"1.0.2", "1.00.002"},
                                                                             {"2024.01.05", "2024.1.5"},
                                                                             {"a.01", "a.1"},
                                                                             {"1.00-x", "1.0-x"},
                                                                             {"v01", "v1"},
                                                                             {"1-rc007", "1-rc7"}}) {
    CHECK(std::is_eq(compare_versions(a, b)));
    CHECK(normal_version(a) == normal_version(b));
  }
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {"1", "1.0"}, {"v10", "v1"}, {"v0", "v"}, {"", "0"}, {"1.", "1"}, {"1..2", "1.2"}}) {
    CHECK(std::is_neq(compare_versions(a, b)));
    CHECK(normal_version(a) != normal_version(b));
  }
}
