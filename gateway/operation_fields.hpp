// Parameters of paths and queries that several calls share. For operations_*.cpp alone.
#pragma once

#include "gateway/operations.hpp"
#include "gateway/shapes.hpp"
#include "messages/limits.hpp"

#include <cstddef>

namespace colloquy::gateway {

using enum field_kind;

inline constexpr std::int64_t parameter_chars_max = limits::name_chars_max;
inline constexpr std::int64_t offset_max = std::int64_t{1} << 53; // what every JSON reader holds exactly

constexpr field_rule in_path(std::string_view name, field_kind kind, std::string_view about, std::string_view example) {
  return {.name = name,
          .kind = kind,
          .is_required = true,
          .least = 1,
          .most = parameter_chars_max,
          .about = about,
          .example = example};
}
constexpr field_rule whole(std::string_view name, std::int64_t least, std::int64_t most, std::string_view about) {
  return {.name = name, .kind = integer, .least = least, .most = most, .about = about};
}
constexpr field_rule named(std::string_view name, std::string_view about) {
  return {.name = name, .kind = text, .least = 1, .most = parameter_chars_max, .about = about};
}

inline constexpr std::string_view example_id = "\"01890a5d-ac96-774b-bcce-b302099a8057\"";
inline constexpr field_rule id_parameter = in_path("id", uuid, "The session.", example_id);
inline constexpr field_rule turn_parameter = in_path("turn", uuid, "The turn.", example_id);
inline constexpr field_rule user_parameter = in_path("user_id", text, "The user.", "\"ada\"");
inline constexpr field_rule limit_parameter = whole("limit", 1, limits::page_events_max, "How many; unless said, 100.");
inline constexpr field_rule cursor_parameter = {
    .name = "cursor", .kind = text, .least = 1, .most = 1000, .about = "next_cursor of the page before."};

inline constexpr field_rule of_session[] = {id_parameter};
inline constexpr field_rule of_turn[] = {id_parameter, turn_parameter};
inline constexpr field_rule of_page[] = {limit_parameter, cursor_parameter};

// Each part of the table; operations.cpp puts them together.
std::span<const operation> session_operations();
std::span<const operation> log_operations();
std::span<const operation> tenant_operations();
std::span<const operation> document_operations();
std::span<const operation> store_operations();
std::span<const operation> database_operations();
std::span<const operation> service_operations();
std::span<const operation> mcp_operations();

} // namespace colloquy::gateway
