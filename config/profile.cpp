#include "config/profile.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace colloquy::config {

namespace {

enum class sort { size, kind };

struct profile {
  std::string_view name;
  sort of;
  std::vector<profile_value> values;
};

/// The values that users know from the guides they come from.
const std::vector<profile>& profiles() {
  static const std::vector<profile> all{
      {"small", sort::size, {{"pool_min", "2"}, {"pool_max", "5"}}},
      {"medium", sort::size, {{"pool_min", "5"}, {"pool_max", "15"}}},
      {"large", sort::size, {{"pool_min", "10"}, {"pool_max", "30"}}},
      {"interactive",
       sort::kind,
       {{"connect_timeout", "10s"},
        {"pool_idle_timeout", "600s"},
        {"statement_timeout", "30s"},
        {"idle_in_transaction_timeout", "120s"}}},
      {"monitoring",
       sort::kind,
       {{"connect_timeout", "5s"},
        {"pool_idle_timeout", "300s"},
        {"statement_timeout", "10s"},
        {"idle_in_transaction_timeout", "30s"}}},
      {"batch",
       sort::kind,
       {{"connect_timeout", "15s"},
        {"pool_idle_timeout", "180s"},
        {"statement_timeout", "120s"},
        {"idle_in_transaction_timeout", "180s"}}},
      {"persistent",
       sort::kind,
       {{"pool_min", "5"},
        {"pool_max", "20"},
        {"pool_idle_timeout", "300s"},
        {"connect_timeout", "10s"},
        {"statement_timeout", "60s"},
        {"request_timeout", "30s"},
        {"keepalive_idle", "10s"}}},
  };
  return all;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

const profile* find_profile(std::string_view name) {
  std::string small(name);
  std::transform(small.begin(), small.end(), small.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto found =
      std::find_if(profiles().begin(), profiles().end(), [&](const auto& each) { return each.name == small; });
  return found == profiles().end() ? nullptr : &*found;
}

error fault(std::string sentence) {
  return {error_code::invalid_request, std::move(sentence)};
}

/// One of each sort, by its sort.
using chosen = std::array<const profile*, 2>;

result<chosen> choose(std::string_view list) {
  chosen found{};
  for (bool is_more = !trimmed(list).empty(); is_more;) {
    const auto comma = list.find(',');
    const auto* each = find_profile(trimmed(list.substr(0, comma)));
    if (each == nullptr)
      return fault("names a profile that there is not");
    auto& place = found[static_cast<std::size_t>(each->of)];
    if (place != nullptr)
      return fault("names two profiles of one sort, " + std::string(place->name) + " and " + std::string(each->name));
    place = each;
    is_more = comma != std::string_view::npos;
    list.remove_prefix(is_more ? comma + 1 : list.size());
  }
  return found;
}

} // namespace

result<std::vector<profile_value>> parse_profile(std::string_view list) {
  const auto found = choose(list);
  if (!found)
    return found.failure();
  std::vector<profile_value> values;
  // Sizes come first in `chosen`, so what a kind says about the pool is left out where there is a size.
  for (const auto* each : *found) {
    if (each == nullptr)
      continue;
    for (const auto& value : each->values) {
      if (std::none_of(values.begin(), values.end(), [&](const auto& set) { return set.setting == value.setting; }))
        values.push_back(value);
    }
  }
  return values;
}

} // namespace colloquy::config
