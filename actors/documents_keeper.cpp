#include "actors/documents_keeper.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace colloquy::actors {

documents_keeper::documents_keeper(caf::actor_config& config, supervisor_actor supervisor, documents_options options)
  : documents_actor::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options)) {}

documents_keeper::behavior_type documents_keeper::make_behavior() {
  set_down_handler([this](const caf::down_msg& down) {
    if (child_ && down.source == child_.address()) {
      spdlog::error("what looks after documents ended; another one takes over");
      start();
    }
  });
  start();
  return {[this](insert_documents& wanted) { return delegate(child_, std::move(wanted)); },
          [this](find_documents& wanted) { return delegate(child_, std::move(wanted)); },
          [this](find_document& wanted) { return delegate(child_, std::move(wanted)); },
          [this](update_document& wanted) { return delegate(child_, std::move(wanted)); },
          [this](delete_document& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_collections& wanted) { return delegate(child_, std::move(wanted)); },
          [this](delete_collection& wanted) { return delegate(child_, std::move(wanted)); },
          [this](open_store& wanted) { return delegate(child_, std::move(wanted)); },
          [this](list_failed_migrations& wanted) { return delegate(child_, std::move(wanted)); }};
}

void documents_keeper::start() {
  child_ = caf::actor_cast<documents_actor>(spawn<documents>(supervisor_, options_));
  monitor(child_);
}

void documents_keeper::on_exit() {
  send_exit(child_, caf::exit_reason::user_shutdown);
  child_ = nullptr;
  supervisor_ = nullptr;
}

documents_actor spawn_documents(caf::actor_system& system, const supervisor_actor& pool,
                                const config::settings& settings, std::shared_ptr<tenant_meter> meter) {
  documents_options options;
  options.request_timeout = settings.request_timeout;
  options.document_bytes_max = settings.document_bytes_max;
  options.meter = std::move(meter);
  options.tables = std::make_shared<const db::document_tables>(settings);
  options.shared_by_users = framework_collections::of(settings).shared_by_users(*options.tables);
  return caf::actor_cast<documents_actor>(system.spawn<documents_keeper>(pool, std::move(options)));
}

} // namespace colloquy::actors
