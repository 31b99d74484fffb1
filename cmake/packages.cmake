# Debian packages of what library.cmake installs, one a component: `./dev package`.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME colloquy)
set(CPACK_PACKAGE_VENDOR Colloquy)
set(CPACK_PACKAGE_CONTACT "Colloquy <colloquy@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Keeps the conversations of AI agents")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program library headers)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME colloquy)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON) # by dpkg-shlibdeps
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "postgresql (>= 15)") # its server, where no other is given
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "Keeps the conversations of AI agents
 The program: an HTTP service, migrations, a doctor and a replay.")

# What a program is linked with that uses the archive, as Debian 12 and 13 name it.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libcolloquy-dev)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS
    "libcolloquy-headers (= ${PROJECT_VERSION}), libcaf-dev, libpq-dev, libssl-dev, libsqlite3-dev, libspdlog-dev, libfmt-dev")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "Keeps the conversations of AI agents, inside a CAF program
 The library as an archive, with what CMake and pkg-config find it by.")

set(CPACK_DEBIAN_HEADERS_PACKAGE_NAME libcolloquy-headers)
set(CPACK_DEBIAN_HEADERS_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_HEADERS_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_HEADERS_PACKAGE_DEPENDS "libcaf-dev (>= 0.17), libcaf-dev (<< 0.18)")
set(CPACK_COMPONENT_HEADERS_DESCRIPTION "Keeps the conversations of AI agents, inside a CAF program
 The headers of the library.")
include(CPack)
