// Every statement that runs as colloquy_system, which sees all tenants, or as the login role; there are no others. Each
// takes its role inside its own unit, whose end gives the service's role back.
#pragma once

#include "db/row_reader.hpp"
#include "db/statement.hpp"

namespace colloquy::db::system_statements {

extern const statement as_system;
extern const statement as_login; ///< ends backends, which the login role alone may do

extern const statement begin_takeover;
extern const statement end_backends;
extern const statement finish_takeover;
extern const statement end_process;

extern const statement find_overdue;
extern const statement find_expired;
extern const statement mark_expired;
extern const statement forget_keys;
extern const statement forget_processes;

extern const statement erase_step;
extern const statement read_erasures;
extern const statement find_erasure;
extern const statement find_document_erasures;
extern const statement forget_participant;
extern const statement forget_author;

extern const statement insert_tenant;
extern const statement find_made_tenant;
extern const statement list_tenants;
extern const statement count_usage;
extern const statement find_api_key;
extern const statement keep_admin_key;
extern const statement read_service_keys;

} // namespace colloquy::db::system_statements
