#include "actors/agents.hpp"

#include "actors/agent_run.hpp"
#include "messages/text_checks.hpp"

#include <caf/actor_system.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 100ms;
constexpr auto retry_soon = 1000ms;
constexpr double weight_min = 0.001;
constexpr double weight_max = 1000;

std::string in_quotes(const std::string& name) {
  return '"' + name + '"';
}

error no_such_agent(const std::string& name) {
  return {error_code::not_found, "no agent of the name " + in_quotes(name) + " is registered for the tenant"};
}

std::optional<error> check_name(const std::string& name) {
  if (!name.empty() && is_storable_text(name) && count_characters(name) <= limits::name_chars_max)
    return std::nullopt;
  return error{error_code::invalid_request, "an agent's name must be valid UTF-8 without NUL, 1 to " +
                                                std::to_string(limits::name_chars_max) + " characters"};
}

std::optional<error> check(const register_agent& wanted) {
  if (auto problem = check_name(wanted.name))
    return problem;
  if (!wanted.agent == !wanted.make)
    return error{error_code::invalid_request, "agent " + in_quotes(wanted.name) + " needs one of `agent` and `make`"};
  if (wanted.time < 1ms || wanted.time > limits::lease_max)
    return error{error_code::invalid_request, "agent " + in_quotes(wanted.name) + " has a time of " +
                                                  std::to_string(wanted.time.count()) + " ms; 1 to " +
                                                  std::to_string(std::chrono::milliseconds(limits::lease_max).count()) +
                                                  " is allowed"};
  return std::nullopt;
}

std::string text_of(const std::optional<tenant_id>& tenant) {
  return tenant ? tenant->text() : std::string();
}

} // namespace

agents::agents(caf::actor_config& config, directory_actor directory, agents_options options)
  : agents_service::base(config)
  , directory_(std::move(directory))
  , options_(std::move(options))
  , waiting_(options_.requests_max, options_.tenant_requests_max) {
  set_down_handler([this](const caf::down_msg& down) { on_down(down); });
}

agents::behavior_type agents::make_behavior() {
  return {[this](register_agent& wanted) { return add(wanted); },
          [this](const remove_agent& wanted) { return remove(wanted); },
          [this](const limit_agents& wanted) { return limit(wanted); },
          [this](start_agent_turn& wanted) { return begin(wanted); },
          [this](const get_agents_status& wanted) { return tell(wanted); },
          [this](const find_agent& wanted) {
            return find(wanted.tenant.text(), wanted.name) ? result<agent_known>(agent_known{})
                                                           : result<agent_known>(no_such_agent(wanted.name));
          },
          [this](take_place& wanted) { return place(wanted); },
          [this](const stop_agents& wanted) { return stop(wanted); },
          [this](agents_tick) { on_tick(); }};
}

void agents::on_exit() {
  for (auto& each : waiting_.take_all())
    reply(each.answer, result<agent_place>(shutting_down));
  for (auto& [id, each] : runs_)
    send_exit(each.actor, caf::exit_reason::user_shutdown);
  for (auto& [name, entry] : registered_)
    if (entry.make && entry.agent) // one that the host handed in is the host's to end
      send_exit(entry.agent, caf::exit_reason::user_shutdown);
  if (stopping_)
    reply(*stopping_, result<agents_stopped>(agents_stopped{cut_ + runs_.size()}));
  stopping_.reset();
  runs_.clear();
  registered_.clear();
  directory_ = nullptr;
}

// --- which there are -------------------------------------------------------------------------------------------------

result<agent_registered> agents::add(register_agent& wanted) {
  if (stopping_)
    return shutting_down;
  if (auto problem = check(wanted))
    return *problem;
  const auto tenant = text_of(wanted.tenant);
  const auto at = registered_.find({tenant, wanted.name});
  if (at == registered_.end() &&
      (registered_.size() >= options_.agents_max || registered_of(tenant) >= options_.tenant_agents_max))
    return error{error_code::overloaded,
                 "agent " + in_quotes(wanted.name) + " is one too many: " + std::to_string(options_.tenant_agents_max) +
                     " of a tenant and " + std::to_string(options_.agents_max) + " in all may be registered"};
  if (wanted.agent)
    monitor(wanted.agent);
  // Of one that was made, those that run a turn have the last handles: it ends when they do.
  registered_.insert_or_assign(agent_name{tenant, wanted.name},
                               registration{std::move(wanted.agent), std::move(wanted.make), wanted.time});
  return agent_registered{};
}

result<agent_removed> agents::remove(const remove_agent& wanted) {
  const auto at = registered_.find({text_of(wanted.tenant), wanted.name});
  if (at == registered_.end())
    return no_such_agent(wanted.name);
  registered_.erase(at);
  return agent_removed{};
}

/// Those of one tenant lie together.
std::size_t agents::registered_of(const std::string& tenant) const {
  const auto first = registered_.lower_bound({tenant, ""});
  const auto is_other = [&](const auto& entry) { return entry.first.first != tenant; };
  return static_cast<std::size_t>(std::distance(first, std::find_if(first, registered_.end(), is_other)));
}

agents::registration* agents::find(const std::string& tenant, const std::string& name) {
  auto at = registered_.find({tenant, name});
  if (at == registered_.end())
    at = registered_.find({"", name});
  return at == registered_.end() ? nullptr : &at->second;
}

result<agent_place> agents::make_ready(registration& entry, const std::string& name) {
  if (!entry.agent) {
    try {
      entry.agent = entry.make();
    } catch (const std::exception& problem) {
      spdlog::error("agent {} could not be made: {}", name, problem.what());
    } catch (...) {
      spdlog::error("agent {} could not be made", name);
    }
    if (!entry.agent)
      return error{error_code::internal, "agent " + in_quotes(name) + " could not be made"};
    monitor(entry.agent);
  }
  return agent_place{entry.agent, entry.time};
}

result<agents_limited> agents::limit(const limit_agents& wanted) {
  if (wanted.at_work_max && *wanted.at_work_max == 0)
    return error{error_code::invalid_request, "at_work_max is 0; at least 1 is allowed"};
  if (!(wanted.weight >= weight_min && wanted.weight <= weight_max))
    return error{error_code::invalid_request,
                 "weight is " + std::to_string(wanted.weight) + "; 0.001 to 1000 is allowed"};
  const auto& tenant = wanted.tenant.text();
  if (!tenants_.contains(tenant) && tenants_.size() >= options_.agents_max)
    return error{error_code::overloaded,
                 "more than " + std::to_string(options_.agents_max) + " tenants have bounds or requests", retry_soon};
  auto& share = tenants_[tenant];
  share.at_work_max = wanted.at_work_max;
  share.weight = wanted.weight;
  waiting_.set_weight(tenant, wanted.weight);
  drop_if_plain(tenant);
  serve_waiting();
  return agents_limited{};
}

result<agents_status> agents::tell(const get_agents_status& wanted) const {
  agents_status status;
  if (!wanted.tenant) {
    status.registered = registered_.size();
    status.at_work = at_work_;
    status.waiting = waiting_.size();
    status.requests = runs_.size();
    return status;
  }
  const auto& tenant = wanted.tenant->text();
  status.registered = registered_of(tenant) + registered_of("");
  status.waiting = waiting_.waiting_of(tenant);
  if (const auto at = tenants_.find(tenant); at != tenants_.end()) {
    status.at_work = at->second.at_work;
    status.requests = at->second.requests;
  }
  return status;
}

// --- who is at work --------------------------------------------------------------------------------------------------

std::optional<error> agents::why_not_begun(const std::string& tenant) const {
  if (stopping_)
    return shutting_down;
  if (runs_.size() >= options_.requests_max)
    return error{error_code::overloaded,
                 "more than " + std::to_string(options_.requests_max) + " turns of agents are under way", retry_soon};
  const auto at = tenants_.find(tenant);
  if (at != tenants_.end() && at->second.requests >= options_.tenant_requests_max)
    return error{error_code::quota_exceeded,
                 "the tenant has " + std::to_string(at->second.requests) +
                     " turns of agents under way, as many as it may have",
                 retry_soon};
  return std::nullopt;
}

caf::result<result<agent_turn>> agents::begin(start_agent_turn& wanted) {
  const auto tenant = wanted.session.tenant.text();
  if (auto problem = why_not_begun(tenant))
    return result<agent_turn>(*problem);
  auto made =
      caf::actor_cast<agent_run_actor>(spawn<agent_run>(directory_, caf::actor_cast<agents_service>(this), options_));
  monitor(made);
  runs_.emplace(made.id(), run{tenant, made});
  ++tenants_[tenant].requests;
  return delegate(made, std::move(wanted));
}

bool agents::may_work(const std::string& tenant) const {
  const auto& share = tenants_.at(tenant);
  return share.at_work < share.at_work_max.value_or(options_.tenant_at_work_max);
}

promise_of<take_place> agents::place(take_place& wanted) {
  const auto asker = current_sender() ? current_sender()->id() : 0;
  auto answer = make_response_promise<result<agent_place>>();
  if (stopping_) {
    reply(answer, result<agent_place>(shutting_down));
    return answer;
  }
  if (!runs_.contains(asker)) {
    reply(answer, result<agent_place>(error{error_code::internal, "only a run takes a place"}));
    return answer;
  }
  const auto tenant = wanted.tenant.text();
  const auto deadline = wanted.deadline;
  waiting item{answer, asker, std::move(wanted)};
  if (!waiting_.push(tenant, asker, deadline, item))
    reply(answer, result<agent_place>(error{error_code::overloaded, "too many turns wait for an agent", retry_soon}));
  serve_waiting();
  schedule_tick();
  return answer;
}

void agents::serve_waiting() {
  while (at_work_ < options_.at_work_max) {
    auto next = waiting_.pop([this](const std::string& tenant) { return may_work(tenant); });
    if (!next)
      return;
    const auto& name = next->wanted.name;
    auto* entry = find(next->wanted.tenant.text(), name);
    auto ready = entry ? make_ready(*entry, name) : result<agent_place>(no_such_agent(name));
    if (ready) {
      auto& of = runs_.at(next->run);
      of.is_placed = true;
      ++tenants_[of.tenant].at_work;
      ++at_work_;
    }
    reply(next->answer, std::move(ready));
  }
}

void agents::on_down(const caf::down_msg& down) {
  if (const auto at = runs_.find(down.source.id()); at != runs_.end()) {
    waiting_.erase_owner(at->first);
    const auto ended = std::move(at->second);
    runs_.erase(at);
    auto& share = tenants_[ended.tenant];
    --share.requests;
    if (ended.is_placed) {
      --share.at_work;
      --at_work_;
    }
    drop_if_plain(ended.tenant);
    serve_waiting();
    return end_if_stopped();
  }
  for (auto at = registered_.begin(); at != registered_.end();) {
    auto& entry = at->second;
    if (!entry.agent || entry.agent.address() != down.source) {
      ++at;
    } else if (entry.make) {
      spdlog::warn("agent {} ended; it is made anew when it is needed", at->first.second);
      entry.agent = nullptr;
      ++at;
    } else {
      spdlog::warn("agent {} ended; it is registered no more", at->first.second);
      at = registered_.erase(at);
    }
  }
}

void agents::drop_if_plain(const std::string& tenant) {
  if (const auto at = tenants_.find(tenant); at != tenants_.end() && at->second.is_plain())
    tenants_.erase(at);
}

// --- time, and the end -----------------------------------------------------------------------------------------------

void agents::schedule_tick() {
  if (ticks_ || (waiting_.empty() && !stopping_))
    return;
  ticks_ = true;
  delayed_send(this, tick_interval, agents_tick{});
}

void agents::on_tick() {
  ticks_ = false;
  const auto now = clock().now();
  for (auto& late : waiting_.take_expired(now))
    reply(late.answer,
          result<agent_place>(error{error_code::overloaded, "no agent was free within the time to wait", retry_soon}));
  if (stopping_ && now >= stop_at_) {
    stop_at_ = time_point::max();
    cut_ = runs_.size();
    for (auto& [id, each] : runs_)
      send(each.actor, stop_run{shutting_down});
  }
  schedule_tick();
}

promise_of<stop_agents> agents::stop(const stop_agents& wanted) {
  auto answer = make_response_promise<result<agents_stopped>>();
  if (stopping_) {
    reply(answer, result<agents_stopped>(error{error_code::conflict, "it is stopping already"}));
    return answer;
  }
  stopping_ = answer;
  stop_at_ = clock().now() + wanted.limit;
  for (auto& each : waiting_.take_all())
    reply(each.answer, result<agent_place>(shutting_down));
  for (auto& [id, each] : runs_)
    if (!each.is_placed)
      send(each.actor, stop_run{shutting_down});
  schedule_tick();
  end_if_stopped();
  return answer;
}

void agents::end_if_stopped() {
  if (!stopping_ || !runs_.empty())
    return;
  reply(*stopping_, result<agents_stopped>(agents_stopped{cut_}));
  stopping_.reset();
  quit();
}

} // namespace colloquy::actors
