#include "db/doctor_write.hpp"

#include "db/batch.hpp"
#include "db/migrator_session.hpp"
#include "db/roles.hpp"
#include "db/session_queries.hpp"

#include <memory>
#include <utility>

namespace colloquy::db::doctor {
namespace {

constexpr const char* tenant_name = "colloquy-doctor";
constexpr const char* other_tenant = "colloquy-doctor-other";

/// Steps within one transaction; after one has failed the others do nothing.
class trial {
public:
  trial(session& connection, deadline until, write_facts& facts)
    : connection_(connection)
    , until_(until)
    , facts_(facts) {}

  text_answer say(const char* step, const std::string& sql, const std::vector<std::string>& parameters = {}) {
    text_answer answer;
    if (!facts_.failure) {
      answer = connection_.query(sql, parameters, until_);
      note(step, answer.failure);
    }
    return answer;
  }

  unit_outcome run(const char* step, const unit& work) {
    unit_outcome outcome;
    outcome.failure = facts_.failure;
    if (!facts_.failure) {
      outcome = connection_.run(work, until_);
      note(step, outcome.failure);
    }
    return outcome;
  }

private:
  void note(const char* step, const std::optional<db_failure>& failure) {
    if (!failure)
      return;
    facts_.failure = failure;
    facts_.step = step;
  }

  session& connection_;
  deadline until_;
  write_facts& facts_;
};

session_write_ptr make_write(const session_key& key) {
  auto row = std::make_shared<session_record>();
  row->key = key;
  row->log = log_id::make();
  row->user_id = "colloquy-doctor";
  row->created_at = row->updated_at = system_time();
  event first;
  first.kind = event_kind::custom;
  first.data = R"({"from":"colloquy doctor"})";
  first.created_at = row->created_at;
  auto write = std::make_shared<session_write>();
  write->session = key;
  write->log = row->log;
  write->number = 1;
  write->row = std::move(row);
  write->bytes = first.cost_bytes();
  write->events = std::make_shared<const std::vector<event>>(1, std::move(first));
  return write;
}

void write_and_read(trial& steps, const session_key& key, write_facts& facts) {
  const auto process = process_id::make();
  const auto claimed = decode_claim(steps.run("claiming a writer", claim_writer(process, 0, 0)));
  if (facts.failure || !claimed)
    return;
  const std::vector<session_write_ptr> writes{make_write(key)};
  const batch_position position{process, 0, claimed->epoch, claimed->seq + 1};
  steps.run("writing a session and an event", encode_batch(position, writes).statements);
  const auto read = decode_session(key, steps.run("reading the session", read_session(key)));
  facts.found_again = read && read->record.durable_offset == 0;
  steps.say("reading as another tenant", "SELECT set_config('colloquy.tenants', $1, true)", {other_tenant});
  const auto seen =
      steps.say("reading as another tenant", "SELECT count(*) FROM sessions WHERE tenant_id = $1 AND id = $2::uuid",
                {tenant_name, key.id.to_string()});
  facts.hidden_from_others = !facts.failure && seen.at(0, 0) == "0";
}

} // namespace

write_facts try_writing(session& connection, const std::string& schema, milliseconds limit) {
  const auto begun = std::chrono::steady_clock::now();
  write_facts facts;
  trial steps(connection, begun + limit, facts);
  steps.say("beginning", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
  steps.say("becoming colloquy_service", "SELECT set_config('role', $1, true)", {std::string(service_role)});
  steps.say("choosing the schema", "SELECT set_config('search_path', $1, true)",
            {quote_identifier(schema) + ", pg_temp"});
  // So that the server itself says what was waited for, before our own time is over.
  steps.say("limiting the time",
            "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)",
            {std::to_string(limit.count() / 2) + "ms", std::to_string(limit.count() * 3 / 4) + "ms"});
  write_and_read(steps, {tenant_id::parse(tenant_name).value(), session_id::make()}, facts);
  facts.rolled_back = !connection.query("ROLLBACK", {}, begun + limit).failure;
  facts.took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
  return facts;
}

} // namespace colloquy::db::doctor
