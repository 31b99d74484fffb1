#include "gateway/replies.hpp"

namespace colloquy::gateway {
namespace {

template <class Tag>
void id_or_null(json_writer& to, std::string_view name, const uuid_id<Tag>& id) {
  to.member_or_null(name, id.is_nil() ? std::string() : id.to_string());
}

double in_seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

} // namespace

void write(json_writer& to, const session_record& session) {
  to.open_object()
      .member("id", session.key.id.to_string())
      .member("external_id", session.external_id)
      .member("user_id", session.user_id)
      .member("agent_id", session.agent_id)
      .member("title", session.title)
      .member("status", to_string(session.status))
      .member("created_at", session.created_at)
      .member("updated_at", session.updated_at)
      .member("expires_at", session.expires_at)
      .member("turn_count", session.turn_count)
      .member("total_tokens", session.total_tokens)
      .member("next_offset", session.next_offset)
      .member("durable_offset", session.durable_offset)
      .raw_member("metadata", session.metadata);
  id_or_null(to, "parent_id", session.parent.value_or(session_id{}));
  to.member("fork_offset", session.fork_offset)
      .member("version", session.version)
      .member("customer_id", session.user_id)
      .key("labels")
      .open_array();
  for (const auto& label : session.labels)
    to.value(label);
  to.close_array().member("mode", to_string(session.mode)).key("consumption_offsets").open_object();
  for (const auto& [client, offset] : session.consumption_offsets)
    to.any_member(client, offset);
  to.close_object().close_object();
}

void write(json_writer& to, const participant& who) {
  to.open_object().member("user_id", who.user_id).member("role", to_string(who.role)).close_object();
}

void write(json_writer& to, const turn_record& turn) {
  to.open_object()
      .member("id", turn.id.to_string())
      .member("number", turn.number)
      .member("status", to_string(turn.status))
      .member_or_null("trace_id", turn.trace_id);
  if (turn.started_at == timestamp{})
    to.key("started_at").null();
  else
    to.member("started_at", turn.started_at);
  to.member("ended_at", turn.ended_at).member("lease_expires_at", turn.lease_expires_at).key("usage");
  if (turn.usage)
    to.open_object()
        .member("input_tokens", turn.usage->input_tokens)
        .member("output_tokens", turn.usage->output_tokens)
        .close_object();
  else
    to.null();
  to.close_object();
}

void write(json_writer& to, const analytics& sums) {
  const auto turns = sums.turns_completed + sums.turns_failed + sums.turns_otherwise;
  to.open_object()
      .member("sessions_active", sums.sessions_active)
      .member("sessions_paused", sums.sessions_paused)
      .member("sessions_completed", sums.sessions_completed)
      .member("sessions_expired", sums.sessions_expired)
      .member("turns_completed", sums.turns_completed)
      .member("turns_failed", sums.turns_failed)
      .member("turns_otherwise", sums.turns_otherwise)
      .member("input_tokens", sums.input_tokens)
      .member("output_tokens", sums.output_tokens)
      .member("messages", sums.messages)
      .member("turn_time_median_s", in_seconds(sums.turn_time_median))
      .member("turn_time_mean_s", turns > 0 ? in_seconds(sums.turn_time_sum) / static_cast<double>(turns) : 0.0)
      .member("turn_time_max_s", in_seconds(sums.turn_time_max))
      .key("over_time")
      .open_array();
  for (const auto& bucket : sums.over_time)
    to.open_object()
        .member("from", bucket.from)
        .member("messages", bucket.messages)
        .member("turns", bucket.turns)
        .close_object();
  to.close_array().close_object();
}

void write(json_writer& to, const appended& where) {
  to.open_object().key("offsets").open_array();
  for (std::size_t i = 0; i < where.count; ++i)
    to.value(where.first_offset + static_cast<std::int64_t>(i));
  to.close_array().member("durability", where.reached == durability::durable ? "durable" : "accepted").close_object();
}

void write_quotas(json_writer& to, const tenant_record& tenant) {
  const auto& quotas = tenant.quotas;
  to.key("quotas")
      .open_object()
      .member("requests_per_s", quotas.requests_per_s)
      .member("request_burst", quotas.request_burst)
      .member("sessions_max", quotas.sessions_max)
      .member("resident_sessions_max", quotas.resident_sessions_max)
      .member("stored_bytes_max", quotas.stored_bytes_max)
      .member("running_turns_max", quotas.running_turns_max)
      .member("subscriptions_max", quotas.subscriptions_max)
      .member("message_bytes_max", quotas.message_bytes_max)
      .member("connections_max", quotas.connections_max)
      .close_object();
  to.key("used")
      .open_object()
      .member("sessions", tenant.sessions)
      .member("stored_bytes", tenant.stored_bytes)
      .close_object();
}

void write(json_writer& to, const tenant_record& tenant) {
  to.open_object().member("id", tenant.id.text()).member("title", tenant.title).member("created_at", tenant.created_at);
  write_quotas(to, tenant);
  to.close_object();
}

void write(json_writer& to, const api_key_record& key) {
  to.open_object()
      .member("id", key.id.to_string())
      .member("prefix", key.prefix)
      .member("name", key.name)
      .key("scopes")
      .open_array();
  for (const auto& [has, name] :
       {std::pair{key.scopes.read, "read"}, {key.scopes.write, "write"}, {key.scopes.admin, "admin"}})
    if (has)
      to.value(name);
  to.close_array()
      .member("user_id", key.user_id)
      .member("created_at", key.created_at)
      .member("expires_at", key.expires_at)
      .member("last_used_at", key.last_used_at)
      .member("revoked_at", key.revoked_at)
      .close_object();
}

void write(json_writer& to, const audit_entry& entry) {
  to.open_object()
      .member("id", entry.id.to_string())
      .member("at", entry.at)
      .member("actor", entry.by.name)
      .member_or_null("request_id", entry.by.request_id)
      .member("action", entry.action)
      .member("target_kind", entry.target_kind)
      .member("target", entry.target)
      .close_object();
}

void write(json_writer& to, const erased& gone) {
  to.open_object()
      .member("sessions", gone.sessions)
      .member("events", gone.events)
      .member("turns", gone.turns)
      .member("idempotency_keys", gone.idempotency_keys)
      .member("participants", gone.participants)
      .member("events_kept_for_forks", gone.events_kept_for_forks)
      .close_object();
}

void write_message(json_writer& to, const event& message) {
  to.open_object().member("offset", message.offset).member("created_at", message.created_at);
  id_or_null(to, "turn_id", message.turn);
  to.member_or_null("author", message.author).members_of(message.data).close_object();
}

void write_event(json_writer& to, const event& of, bool is_deleted) {
  to.open_object().member("offset", of.offset).member("kind", to_string(of.kind)).member("created_at", of.created_at);
  id_or_null(to, "turn_id", of.turn);
  to.member_or_null("author", of.author)
      .member_or_null("source", of.source)
      .member_or_null("trace_id", of.trace_id)
      .raw_member("data", of.data);
  if (is_deleted)
    to.member("deleted", true);
  to.close_object();
}

} // namespace colloquy::gateway
