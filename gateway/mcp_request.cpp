#include "gateway/mcp_request.hpp"

#include "gateway/json_writer.hpp"

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <array>

namespace colloquy::gateway::mcp {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// A person may have to be asked.
constexpr auto ask_limit = 5min;

constexpr std::string_view log_levels[] = {"debug", "info",     "notice", "warning",
                                           "error", "critical", "alert",  "emergency"};

std::size_t rank_of(std::string_view level) noexcept {
  return static_cast<std::size_t>(std::find(std::begin(log_levels), std::end(log_levels), level) -
                                  std::begin(log_levels));
}

} // namespace

bool is_log_level(std::string_view level) noexcept {
  return rank_of(level) < std::size(log_levels);
}

std::string all_log_levels() {
  std::string out;
  for (const auto each : log_levels)
    out += (out.empty() ? "" : ", ") + std::string(each);
  return out;
}

bool is_legacy_version(std::string_view version) noexcept {
  return std::find(std::begin(legacy_versions), std::end(legacy_versions), version) != std::end(legacy_versions) ||
         version == "2024-11-05";
}

answer text_answer(std::string_view text, bool is_error) {
  answer out;
  out.members = "\"content\":[{\"type\":\"text\",\"text\":";
  append_quoted(out.members, text);
  out.members += "}]";
  if (is_error)
    out.members += ",\"isError\":true";
  return out;
}

peer::~peer() = default;

std::optional<fault> peer::begin(request& of) {
  if (under_way_.size() >= requests_max)
    return fault{fault_code::internal, "at most " + std::to_string(requests_max) +
                                           " requests of a client may be under way; wait for answers, then call again"};
  if (!under_way_.emplace(id_value(of.id), &of).second)
    return fault{fault_code::invalid_request, "a request with this id is under way already"};
  return std::nullopt;
}

void peer::end(const request& of) {
  const auto found = under_way_.find(id_value(of.id));
  if (found != under_way_.end() && found->second == &of)
    under_way_.erase(found);
}

bool peer::is_waiting() const noexcept {
  return std::any_of(under_way_.begin(), under_way_.end(), [](const auto& each) { return !each.second->is_left; });
}

void peer::cancel(std::string_view id) {
  if (const auto found = under_way_.find(id_value(id)); found != under_way_.end())
    found->second->cancel();
}

void peer::cancel_method(std::string_view method) {
  std::vector<request*> all;
  for (const auto& [id, each] : under_way_)
    if (method.empty() || each->method == method)
      all.push_back(each);
  for (auto* each : all)
    each->cancel();
}

void peer::cancel_all() {
  cancel_method({});
  for (auto& [id, each] : asked_) {
    each->is_over = true;
    each->wake->cancel();
  }
}

task<std::optional<std::string>> peer::ask(outlet& by, std::string_view method, std::string_view params) {
  loop_timer wake(context_);
  waiting here{&wake};
  const auto id = "\"colloquy-" + std::to_string(++last_asked_) + "\"";
  asked_.emplace(id_value(id), &here);
  by.send(write_call(method, params, id));
  if (!here.is_over) {
    wake.expires_after(ask_limit);
    boost::system::error_code ignored;
    co_await wake.async_wait(asio::redirect_error(use_task, ignored));
  }
  asked_.erase(id_value(id));
  co_return std::move(here.result);
}

void peer::take_response(const message& from) {
  const auto found = asked_.find(id_value(from.id));
  if (found == asked_.end())
    return;
  if (from.top.has("result"))
    found->second->result.emplace(from.top.raw("result"));
  found->second->is_over = true;
  found->second->wake->cancel();
}

void request::cancel() {
  is_cancelled = true;
  if (const auto tell = std::exchange(when_cancelled, nullptr))
    tell();
}

void request::send_progress(double progress, std::optional<double> total, std::string_view about) {
  const auto token = meta.raw("progressToken");
  if (token.empty())
    return;
  std::string params;
  json_writer to(params);
  to.open_object().raw_member("progressToken", token).member("progress", progress);
  if (total)
    to.member("total", *total);
  if (!about.empty())
    to.member("message", about);
  to.close_object();
  out.send(write_call("notifications/progress", params));
}

void request::log(std::string_view level, std::string_view data_json) {
  const bool is_wanted = spoken == era::modern ? !log_level.empty() && rank_of(level) >= rank_of(log_level)
                                               : log_level.empty() || rank_of(level) >= rank_of(log_level);
  if (!is_wanted)
    return;
  std::string params;
  json_writer(params)
      .open_object()
      .member("level", level)
      .member("logger", "colloquy")
      .raw_member("data", data_json)
      .close_object();
  out.send(write_call("notifications/message", params));
}

} // namespace colloquy::gateway::mcp
