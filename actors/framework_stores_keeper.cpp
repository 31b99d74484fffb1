#include "actors/framework_stores_keeper.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace colloquy::actors {

framework_stores_keeper::framework_stores_keeper(caf::actor_config& config, supervisor_actor supervisor,
                                                 framework_stores_options options)
  : framework_stores_actor::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options)) {}

framework_stores_keeper::behavior_type framework_stores_keeper::make_behavior() {
  set_down_handler([this](const caf::down_msg& down) {
    if (child_ && down.source == child_.address()) {
      spdlog::error("what looks after customers and context variables ended; another one takes over");
      start();
    }
  });
  start();
  return {[this](create_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](get_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](update_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](delete_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_customers& wanted) { return delegate(child_, std::move(wanted)); },
          [this](tag_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](untag_customer& wanted) { return delegate(child_, std::move(wanted)); },
          [this](create_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](get_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](update_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](delete_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_context_variables& wanted) { return delegate(child_, std::move(wanted)); },
          [this](tag_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](untag_context_variable& wanted) { return delegate(child_, std::move(wanted)); },
          [this](put_context_value& wanted) { return delegate(child_, std::move(wanted)); },
          [this](get_context_value& wanted) { return delegate(child_, std::move(wanted)); },
          [this](delete_context_value& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_context_values& wanted) { return delegate(child_, std::move(wanted)); },
          [this](look_up_context_value& wanted) { return delegate(child_, std::move(wanted)); }};
}

void framework_stores_keeper::start() {
  child_ = caf::actor_cast<framework_stores_actor>(spawn<framework_stores>(supervisor_, options_));
  monitor(child_);
}

void framework_stores_keeper::on_exit() {
  send_exit(child_, caf::exit_reason::user_shutdown);
  child_ = nullptr;
  supervisor_ = nullptr;
}

framework_stores_actor spawn_framework_stores(caf::actor_system& system, const supervisor_actor& pool,
                                              const config::settings& settings, std::shared_ptr<tenant_meter> meter) {
  framework_stores_options options;
  options.request_timeout = settings.request_timeout;
  options.document_bytes_max = settings.document_bytes_max;
  options.meter = std::move(meter);
  options.tables = std::make_shared<const db::document_tables>(settings);
  options.collections = framework_collections::of(settings);
  return caf::actor_cast<framework_stores_actor>(system.spawn<framework_stores_keeper>(pool, std::move(options)));
}

} // namespace colloquy::actors
