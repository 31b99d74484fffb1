#include "actors/tenants_keeper.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace colloquy::actors {

tenants_keeper::tenants_keeper(caf::actor_config& config, supervisor_actor supervisor, tenants_options options)
  : tenants_service::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options)) {}

tenants_keeper::behavior_type tenants_keeper::make_behavior() {
  set_down_handler([this](const caf::down_msg& down) {
    if (child_ && down.source == child_.address()) {
      spdlog::error("what looks after tenants ended; another one takes over");
      start();
    }
  });
  start();
  return {[this](create_tenant& wanted) { return delegate(child_, std::move(wanted)); },
          [this](get_tenant& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_tenants& wanted) { return delegate(child_, std::move(wanted)); },
          [this](set_quotas& wanted) { return delegate(child_, std::move(wanted)); },
          [this](create_key& wanted) { return delegate(child_, std::move(wanted)); },
          [this](rotate_key& wanted) { return delegate(child_, std::move(wanted)); },
          [this](revoke_key& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_keys& wanted) { return delegate(child_, std::move(wanted)); },
          [this](find_key& wanted) { return delegate(child_, std::move(wanted)); },
          [this](note_key_use& use) { send(child_, std::move(use)); },
          [this](ensure_admin_key& wanted) { return delegate(child_, std::move(wanted)); },
          [this](write_audit& wanted) { return delegate(child_, std::move(wanted)); },
          [this](read_audit& wanted) { return delegate(child_, std::move(wanted)); },
          [this](flush_tenants& wanted) { return delegate(child_, std::move(wanted)); }};
}

void tenants_keeper::start() {
  child_ = caf::actor_cast<tenants_service>(spawn<tenants>(supervisor_, options_, backlog_));
  monitor(child_);
}

void tenants_keeper::on_exit() {
  send_exit(child_, caf::exit_reason::user_shutdown);
  child_ = nullptr;
  supervisor_ = nullptr;
}

} // namespace colloquy::actors
