// What is answered, as JSON.
#pragma once

#include "gateway/json_writer.hpp"
#include "messages/log_requests.hpp"
#include "messages/session_requests.hpp"
#include "messages/tenant_requests.hpp"
#include "messages/turn_requests.hpp"

#include <algorithm>

namespace colloquy::gateway {

void write(json_writer& to, const session_record& session);
void write(json_writer& to, const participant& who);
void write(json_writer& to, const turn_record& turn);
void write(json_writer& to, const analytics& sums);
void write(json_writer& to, const appended& where);
void write(json_writer& to, const tenant_record& tenant);
void write_quotas(json_writer& to, const tenant_record& tenant); ///< its quotas and what it uses, without the rest
void write(json_writer& to, const api_key_record& key);
void write(json_writer& to, const audit_entry& entry);
void write(json_writer& to, const erased& gone);

/// A message flat: what came, with its place in the log before it.
void write_message(json_writer& to, const event& message);
/// An event with what came as `data`.
void write_event(json_writer& to, const event& of, bool is_deleted = false);
/// Whether one of a page was deleted.
inline bool is_deleted(const event_page& page, const event& of) {
  return std::binary_search(page.deleted.begin(), page.deleted.end(), of.offset);
}

/// {"items": [...], "next_cursor": ... | null}. `each` writes one.
template <class List, class Each>
void write_page(json_writer& to, const List& items, std::string_view next_cursor, Each each) {
  to.open_object().key("items").open_array();
  for (const auto& item : items)
    each(to, item);
  to.close_array().member_or_null("next_cursor", next_cursor).close_object();
}

} // namespace colloquy::gateway
