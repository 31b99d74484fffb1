# The library as a host gets it: one archive, the headers that it may include, and what CMake and pkg-config need to
# find them. `cmake --install` and CPack (packages.cmake) take it from here.
#
# In the tree a header is "messages/ids.hpp"; installed it is <colloquy/messages/ids.hpp>, and so it says itself: nobody's
# include path gets folders of such general names.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# --- the headers -----------------------------------------------------------------------------------------------------

# What is installed is promised (messages/version.hpp). These of messages/ are parts of our own reading of JSON.
file(GLOB COLLOQUY_PUBLIC_HEADERS RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS messages/*.hpp)
list(FILTER COLLOQUY_PUBLIC_HEADERS EXCLUDE REGEX
     "/(cron_rule|document_conversion|document_fields|document_number|filter_reader|hex|json_pointer|json_scan|nearest_name|store_version|strip_sections|text_checks)\\.hpp$")
list(APPEND COLLOQUY_PUBLIC_HEADERS
     actors/listener_interface.hpp actors/pool_interface.hpp actors/pool_numbers.hpp actors/scheduler.hpp
     actors/service.hpp actors/session_handle.hpp
     config/load.hpp config/settings.hpp config/sizing.hpp
     # What the pool's interface is made of, and the way from the settings to a database.
     db/binary_codec.hpp db/embedded_server.hpp db/endpoint.hpp db/failure.hpp db/migrations.hpp db/migrator.hpp
     db/pipeline_connection.hpp db/pool_queries.hpp db/resolve.hpp db/startup.hpp db/statement.hpp
     db/statement_cache.hpp)
set(COLLOQUY_UMBRELLA library/colloquy.hpp)

set(headers_folder ${CMAKE_BINARY_DIR}/library/include)
set(headers_stamp ${CMAKE_BINARY_DIR}/library/headers.stamp)
set(header_sources ${COLLOQUY_PUBLIC_HEADERS} ${COLLOQUY_UMBRELLA})
list(TRANSFORM header_sources PREPEND ${CMAKE_SOURCE_DIR}/)
# The list has a file of its own: one that is taken from it must go, too.
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/library/headers.txt CONTENT "${COLLOQUY_PUBLIC_HEADERS};${COLLOQUY_UMBRELLA}")
add_custom_command(
  OUTPUT ${headers_stamp}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DLIST=${CMAKE_BINARY_DIR}/library/headers.txt
          -DFOLDER=${headers_folder}/colloquy -P ${CMAKE_SOURCE_DIR}/cmake/write_headers.cmake
  COMMAND ${CMAKE_COMMAND} -E touch ${headers_stamp}
  DEPENDS ${header_sources} ${CMAKE_BINARY_DIR}/library/headers.txt ${CMAKE_SOURCE_DIR}/cmake/write_headers.cmake
  VERBATIM)
add_custom_target(colloquy_headers ALL DEPENDS ${headers_stamp})

# --- the archive -----------------------------------------------------------------------------------------------------

# The objects of the rooms that a host uses, in one archive.
set(library_rooms messages config db actors)
set(library_objects "")
foreach(room IN LISTS library_rooms)
  list(APPEND library_objects $<TARGET_OBJECTS:colloquy_${room}>)
endforeach()
add_library(colloquy_library STATIC ${library_objects})
set_target_properties(colloquy_library PROPERTIES OUTPUT_NAME colloquy EXPORT_NAME colloquy LINKER_LANGUAGE CXX)
add_dependencies(colloquy_library colloquy_headers)
target_compile_features(colloquy_library INTERFACE cxx_std_20)
target_include_directories(colloquy_library INTERFACE $<BUILD_INTERFACE:${headers_folder}>
                                                      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(
  colloquy_library PUBLIC CAF::core
                   PRIVATE PostgreSQL::PostgreSQL OpenSSL::SSL OpenSSL::Crypto SQLite::SQLite3 spdlog::spdlog
                           Threads::Threads)

# --- how they are found ----------------------------------------------------------------------------------------------

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/colloquy)
configure_package_config_file(library/colloquy-config.cmake.in ${CMAKE_BINARY_DIR}/library/colloquy-config.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# Before 1.0.0 a minor version may break what the one before it had.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(${CMAKE_BINARY_DIR}/library/colloquy-config-version.cmake
                                 COMPATIBILITY ${compatibility})

# pkg-config: where the file is installed decides what it says, so it is written when it is installed.
set(COLLOQUY_PC_CAF_CFLAGS "")
if(NOT CAF_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
  set(COLLOQUY_PC_CAF_CFLAGS " -I${CAF_INCLUDE_DIR}")
endif()
get_filename_component(caf_folder ${CAF_CORE_LIBRARY} DIRECTORY)
set(COLLOQUY_PC_CAF_LIBS " -lcaf_core")
if(NOT caf_folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
  set(COLLOQUY_PC_CAF_LIBS " -L${caf_folder} -lcaf_core")
endif()
# Relative to where it lies, so that a prefix that is moved, or a package's, needs no other text.
file(RELATIVE_PATH pc_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
set(COLLOQUY_PC_PREFIX "\${pcfiledir}/${pc_up}")
set(COLLOQUY_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
set(COLLOQUY_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(library/colloquy.pc.in ${CMAKE_BINARY_DIR}/library/colloquy.pc @ONLY)

# --- what goes where -------------------------------------------------------------------------------------------------

install(TARGETS colloquy RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES ${CMAKE_BINARY_DIR}/mcp-server-postgres DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES examples/mcp-config.json DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/colloquy/examples COMPONENT program)
install(FILES config/colloquy.example.conf docs/troubleshooting.md CHANGELOG.md
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/colloquy COMPONENT program)
install(FILES docs/ops/colloquy.service docs/ops/colloquy.sysusers.conf docs/ops/prometheus-alerts.yml
              docs/ops/grafana-dashboard.json
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/colloquy/ops COMPONENT program)

install(TARGETS colloquy_library EXPORT colloquy-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT colloquy-targets NAMESPACE colloquy:: DESTINATION ${package_folder} COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/library/colloquy-config.cmake
              ${CMAKE_BINARY_DIR}/library/colloquy-config-version.cmake cmake/FindCAF.cmake
        DESTINATION ${package_folder} COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/library/colloquy.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)

install(DIRECTORY examples/agents examples/chat DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/colloquy/examples
        COMPONENT library)
install(DIRECTORY ${headers_folder}/colloquy DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT headers)
