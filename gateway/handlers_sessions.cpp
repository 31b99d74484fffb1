// Sessions and who shares them.
#include "gateway/edge.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

/// Until what the database has is read again.
void note_made(call& of, const session_record& session) {
  ++of.tenant->sessions_made;
  of.at.audit(of, "session.create", "session", session.key.id.to_string());
}

http_reply session_reply(const call& of, unsigned status, const result<session_record>& answer) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  auto reply = json_reply(status, *answer, [](json_writer& to, const session_record& session) { write(to, session); });
  reply.headers.emplace_back("ETag", "\"" + std::to_string(answer->version) + "\"");
  if (status == 201)
    reply.headers.emplace_back("Location", "/v1/sessions/" + answer->key.id.to_string());
  return reply;
}

/// A token of one user makes sessions of that user alone.
std::optional<error> check_owner(const call& of, const std::string& user_id) {
  if (!of.who.as_user || *of.who.as_user == user_id)
    return std::nullopt;
  return error{error_code::forbidden, "this token makes sessions of its own user alone"};
}

std::optional<std::chrono::seconds> expires_in(const values& body) {
  if (body.is_null("expires_in_s"))
    return std::nullopt;
  if (const auto seconds = body.integer("expires_in_s"))
    return std::chrono::seconds{*seconds};
  return limits::expires_in_default;
}

std::optional<std::vector<std::string>> labels_in(const values& body) {
  return body.maybe<std::vector<std::string>>("labels");
}

std::optional<session_mode> mode_in(const values& body) {
  const auto mode = body.text("mode");
  return mode ? parse_session_mode(*mode) : std::nullopt;
}

offset_pairs consumption_in(const values& body) {
  return body.maybe<offset_pairs>("consumption_offsets").value_or(offset_pairs());
}

create_session to_create_session(const call& of) {
  const auto& body = of.said.body;
  create_session wanted;
  wanted.tenant = of.who.tenant;
  wanted.user_id = body.text_or("user_id", "");
  wanted.agent_id = body.text("agent_id");
  wanted.external_id = body.text("external_id");
  wanted.title = body.text("title");
  wanted.metadata = body.raw_or("metadata", "{}");
  wanted.expires_in = expires_in(body);
  wanted.labels = labels_in(body).value_or(std::vector<std::string>());
  wanted.mode = mode_in(body).value_or(session_mode::automatic);
  for (const auto& [client, offset] : consumption_in(body))
    if (offset)
      wanted.consumption_offsets.emplace(client, *offset);
  return wanted;
}

task<result<session_record>> change_labels(call& of, update_session wanted) {
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer)
    of.at.audit(of, "session.update", "session", of.session().id.to_string());
  co_return answer;
}

http_reply participants_reply(const call& of, const result<participant_list>& answer) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  return json_reply(200, answer->participants, [](json_writer& to, const std::vector<participant>& all) {
    write_page(to, all, "", [](json_writer& each_to, const participant& each) { write(each_to, each); });
  });
}

task<result<participant_list>> change_participant(call& of, std::optional<participant_role> role) {
  set_participant wanted{of.session(), of.said.path.text_or("user_id", ""), role, of.who.as_user};
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer)
    of.at.audit(of, role ? "participant.set" : "participant.remove", "session", of.session().id.to_string());
  co_return answer;
}

} // namespace

task<http_reply> handle_create_session(call& of) {
  auto wanted = to_create_session(of);
  if (auto problem = check_owner(of, wanted.user_id))
    co_return make_problem(*problem, of.request.id);
  wanted.repeat = of.repeat();
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer)
    note_made(of, *answer);
  co_return session_reply(of, 201, answer);
}

task<http_reply> handle_open_session(call& of) {
  open_session wanted{to_create_session(of), of.who.as_user};
  const auto named = of.said.path.text_or("external_id", "");
  if (wanted.wanted.external_id && *wanted.wanted.external_id != named)
    co_return make_problem({error_code::invalid_request, "external_id in the body is not the one in the path"},
                           of.request.id);
  wanted.wanted.external_id = named;
  if (auto problem = check_owner(of, wanted.wanted.user_id))
    co_return make_problem(*problem, of.request.id);
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  if (answer->was_made)
    note_made(of, answer->session);
  co_return session_reply(of, answer->was_made ? 201 : 200, answer->session);
}

task<http_reply> handle_get_session(call& of) {
  get_session wanted{of.session(), of.who.as_user};
  co_return session_reply(of, 200, co_await of.at.ask(std::move(wanted)));
}

task<http_reply> handle_update_session(call& of) {
  const auto& body = of.said.body;
  update_session wanted;
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  wanted.expected_version = of.said.version;
  if (body.has("title"))
    wanted.title = body.text_or("title", "");
  if (body.has("metadata"))
    wanted.metadata = std::string(body.raw_or("metadata", "{}"));
  if (const auto status = body.text("status"))
    wanted.status = parse_session_status(*status);
  if (body.has("expires_in_s"))
    wanted.expires_in = expires_in(body);
  wanted.labels = labels_in(body);
  wanted.mode = mode_in(body);
  wanted.consumption_offsets = consumption_in(body);
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer)
    of.at.audit(of, "session.update", "session", of.session().id.to_string());
  co_return session_reply(of, 200, answer);
}

task<http_reply> handle_delete_session(call& of) {
  erase_session wanted{of.session(), of.who.as_user};
  auto answer = co_await of.at.ask(std::move(wanted));
  // Hidden it is in any case once this is said; what is left goes in the background.
  const bool goes_on = !answer && answer.failure().code == error_code::deadline_exceeded;
  if (!answer && !goes_on)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.audit(of, "session.erase", "session", of.session().id.to_string());
  if (goes_on)
    co_return make_problem(answer.failure(), of.request.id);
  co_return no_content();
}

task<http_reply> handle_list_sessions(call& of) {
  const auto& query = of.said.query;
  list_sessions wanted;
  wanted.tenant = of.who.tenant;
  const auto customer = query.text("customer_id");
  wanted.user_id = query.has("user_id") ? query.text("user_id") : customer;
  if (customer && customer != wanted.user_id)
    co_return make_problem(
        {error_code::invalid_request, "customer_id is another than user_id; one of the two is enough"}, of.request.id);
  wanted.agent_id = query.text("agent_id");
  if (const auto label = query.text("label"))
    wanted.labels.push_back(*label);
  if (const auto status = query.text("status"))
    wanted.status = parse_session_status(*status);
  wanted.limit = static_cast<std::size_t>(query.integer_or("limit", limits::page_default));
  wanted.cursor = query.text_or("cursor", "");
  wanted.as_user = of.who.as_user;
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const session_page& page) {
    write_page(to, page.sessions, page.next_cursor,
               [](json_writer& each_to, const session_record& each) { write(each_to, each); });
  });
}

task<http_reply> handle_fork_session(call& of) {
  fork_session wanted{of.session(), of.said.body.integer_or("at_offset", 0), of.who.as_user, of.repeat()};
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer) {
    ++of.tenant->sessions_made;
    of.at.audit(of, "session.fork", "session", answer->key.id.to_string());
  }
  co_return session_reply(of, 201, answer);
}

task<http_reply> handle_list_participants(call& of) {
  list_participants wanted{of.session(), of.who.as_user};
  co_return participants_reply(of, co_await of.at.ask(std::move(wanted)));
}

task<http_reply> handle_set_participant(call& of) {
  const auto role = parse_participant_role(of.said.body.text_or("role", ""));
  co_return participants_reply(of, co_await change_participant(of, role));
}

task<http_reply> handle_remove_participant(call& of) {
  auto answer = co_await change_participant(of, std::nullopt);
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return no_content();
}

task<http_reply> handle_label_session(call& of) {
  update_session wanted;
  wanted.add_labels.push_back(of.said.path.text_or("label", ""));
  co_return session_reply(of, 200, co_await change_labels(of, std::move(wanted)));
}

task<http_reply> handle_unlabel_session(call& of) {
  update_session wanted;
  wanted.remove_labels.push_back(of.said.path.text_or("label", ""));
  auto answer = co_await change_labels(of, std::move(wanted));
  co_return answer ? no_content() : make_problem(answer.failure(), of.request.id);
}

task<http_reply> handle_get_analytics(call& of) {
  const auto& query = of.said.query;
  get_analytics wanted;
  wanted.tenant = of.who.tenant;
  wanted.from = query.maybe<timestamp>("from").value_or(timestamp{});
  wanted.to = query.maybe<timestamp>("to").value_or(timestamp{});
  wanted.user_id = query.text("user_id");
  wanted.agent_id = query.text("agent_id");
  wanted.as_user = of.who.as_user;
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const analytics& sums) { write(to, sums); });
}

} // namespace colloquy::gateway
