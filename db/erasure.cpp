#include "db/erasure.hpp"

#include "db/sweep_queries.hpp"
#include "db/system_statements.hpp"

namespace colloquy::db {

unit erase_step(const session_key& session) {
  return {{as_system_call(),
           {&system_statements::erase_step,
            {session.tenant.text(), encode_uuid(session.id.bytes), encode_int8(erasure_step_rows)}}}};
}

result<erasure_progress> decode_erasure(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  if (found.count() == 0)
    return error{error_code::not_found, "nothing is left to erase of that session"};
  row_reader row(found, 0);
  erasure_progress progress;
  progress.is_done = row.boolean();
  progress.so_far.sessions = 1;
  progress.so_far.events = row.int8();
  progress.so_far.turns = row.int8();
  progress.so_far.idempotency_keys = row.int8();
  progress.so_far.participants = row.int8();
  progress.so_far.events_kept_for_forks = row.int8();
  return progress;
}

unit read_erasures(std::size_t limit) {
  return {{as_system_call(), {&system_statements::read_erasures, {encode_int8(static_cast<std::int64_t>(limit))}}}};
}

result<std::vector<session_key>> decode_erasures(const unit_outcome& outcome) {
  return decode_session_keys(outcome);
}

unit erase_user_step(const tenant_id& tenant, const std::string& user_id) {
  const auto limit = encode_int8(erasure_step_rows);
  return {{as_system_call(),
           {&system_statements::forget_participant, {tenant.text(), user_id, limit}},
           {&system_statements::forget_author, {tenant.text(), user_id, limit}}}};
}

result<user_step> decode_user_step(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  if (outcome.results.size() != 3)
    return error{error_code::internal, "erasing a user was not answered as it should be"};
  return user_step{decode_int8(outcome.results[1].get(0, 0)), decode_int8(outcome.results[2].get(0, 0))};
}

} // namespace colloquy::db
