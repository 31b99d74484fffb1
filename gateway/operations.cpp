#include "gateway/operations.hpp"

#include "gateway/operation_fields.hpp"

#include <array>

namespace colloquy::gateway {
namespace {

constexpr auto total = static_cast<std::size_t>(operation_id::count_);

/// By operation_id.
std::array<operation, total> join() {
  std::array<operation, total> all{};
  for (const auto part : {session_operations(), log_operations(), tenant_operations(), document_operations(),
                          store_operations(), database_operations(), service_operations(), mcp_operations()})
    for (const auto& each : part)
      all[static_cast<std::size_t>(each.id)] = each;
  return all;
}

const std::array<operation, total>& table() {
  static const auto all = join();
  return all;
}

} // namespace

std::span<const operation> operations() {
  return table();
}

const operation& operation_of(operation_id id) {
  return table()[static_cast<std::size_t>(id)];
}

} // namespace colloquy::gateway
