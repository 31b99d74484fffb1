#include "db/embedded_catalogs.hpp"

#include "db/embedded_roles.hpp"
#include "db/migrator_session.hpp"

namespace colloquy::db::embedded {

// Left open are views that tell of the own session or of nobody. information_schema shows each role what it has a right
// to, by itself; so it would show the types of all, which are everybody's. What cannot be closed: the text form of regclass and its like names what has the number it is given.
const char* const close_catalogs_sql = R"sql(
DO $$
DECLARE
  ours text;
  each record;
BEGIN
  SELECT string_agg(quote_ident(rolname), ', ') INTO ours FROM pg_roles
   WHERE rolname IN ('colloquy', 'colloquy_owner', 'colloquy_service', 'colloquy_system');
  IF ours IS NULL THEN
    RETURN;
  END IF;
  FOR each IN
    SELECT c.oid::regclass AS name FROM pg_class AS c
     WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('public', c.oid, 'SELECT')
       AND c.relname NOT IN ('pg_settings', 'pg_timezone_names', 'pg_timezone_abbrevs', 'pg_prepared_statements',
                             'pg_cursors', 'pg_database')
  LOOP
    EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', each.name);
    EXECUTE format('GRANT SELECT ON %s TO %s', each.name, ours);
  END LOOP;
  FOR each IN
    SELECT p.oid::regprocedure AS name FROM pg_proc AS p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND has_function_privilege('public', p.oid, 'EXECUTE')
       AND (p.proname ~ '^(pg_(try_)?advisory|lo_|pg_stat_get_|pg_stat_reset|pg_get_(view|rule|index|constraint|function|trigger|statisticsobj|partkey|partition_constraint)def|pg_get_functiondef|pg_get_function_|pg_get_serial_sequence|pg_get_publication|pg_get_object_address|pg_identify_|pg_describe_object|pg_(relation|table|total_relation|indexes|database|tablespace)_(size|filenode|filepath)|pg_filenode_relation)'
            OR p.proname IN ('loread', 'lowrite', 'pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids',
                             'pg_terminate_backend', 'pg_cancel_backend', 'pg_prepared_xact', 'pg_export_snapshot',
                             'pg_logical_emit_message', 'pg_sequence_last_value', 'pg_sequence_parameters', 'pg_indexes_size'))
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each.name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', each.name, ours);
  END LOOP;
  FOR each IN -- what shows the types, domains and functions of everybody, as everybody may use them unless it is forbidden
    SELECT c.oid::regclass AS name FROM pg_class AS c
     WHERE c.relnamespace = 'information_schema'::regnamespace AND has_table_privilege('public', c.oid, 'SELECT')
       AND c.relname IN ('attributes', 'collations', 'collation_character_set_applicability', 'column_domain_usage',
                         'data_type_privileges', 'domain_constraints', 'domain_udt_usage', 'domains', 'element_types',
                         'parameters', 'role_udt_grants', 'role_usage_grants', 'routine_column_usage', 'routine_privileges',
                         'routine_routine_usage', 'routine_sequence_usage', 'routine_table_usage', 'routines',
                         'udt_privileges', 'usage_privileges', 'user_defined_types')
  LOOP
    EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', each.name);
    EXECUTE format('GRANT SELECT ON %s TO %s', each.name, ours);
  END LOOP;
  GRANT SELECT (indexrelid, indkey) ON pg_index TO PUBLIC; -- information_schema.key_column_usage, without expressions
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %s', ours);
  REVOKE USAGE ON SCHEMA public FROM PUBLIC;
END
$$;
)sql";

result<void> close_catalogs(const std::string& socket_dir, const std::string& database) {
  auto session = migrator_session::open(conninfo(socket_dir, "postgres", database));
  if (!session)
    return session.failure();
  if (auto done = session->run(close_catalogs_sql); done.failed)
    return to_error(*done.failed, "cannot close the catalogs of the embedded database");
  return {};
}

} // namespace colloquy::db::embedded
