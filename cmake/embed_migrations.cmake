# Turns db/migrations/NNNN_name.sql into one source file, each with the SHA-256 of its bytes, so that the program
# carries its schema and can tell a migration that was changed after it had been applied.
file(GLOB COLLOQUY_MIGRATION_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/db/migrations/*.sql)
list(SORT COLLOQUY_MIGRATION_FILES)
set(COLLOQUY_MIGRATIONS_CPP ${CMAKE_BINARY_DIR}/generated/migrations_embedded.cpp)
add_custom_command(
  OUTPUT ${COLLOQUY_MIGRATIONS_CPP}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${COLLOQUY_MIGRATIONS_CPP} "-DFILES=${COLLOQUY_MIGRATION_FILES}"
          -P ${CMAKE_SOURCE_DIR}/cmake/write_migrations.cmake
  DEPENDS ${COLLOQUY_MIGRATION_FILES} ${CMAKE_SOURCE_DIR}/cmake/write_migrations.cmake
  VERBATIM)
