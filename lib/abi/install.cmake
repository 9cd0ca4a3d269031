# SPDX-License-Identifier: MIT
# What `cmake --install` gives, and what CPack makes of it.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Manual pages come from the program itself.
set(man_pages ${CMAKE_BINARY_DIR}/man)
if(NOT KCOREDUMP_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  add_custom_command(TARGET kcoredump POST_BUILD
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${man_pages}
                     COMMAND kcoredump --man-pages ${man_pages})
endif()

install(TARGETS kcoredump RUNTIME)
install(TARGETS kcoredump_shared kcoredump_static EXPORT kcoredump
        LIBRARY ARCHIVE INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/kcoredump TYPE INCLUDE)
install(DIRECTORY ${man_pages}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)

install(DIRECTORY lib/schema/schemas DESTINATION ${CMAKE_INSTALL_DATADIR}/kcoredump)
install(FILES completions/kcoredump.bash RENAME kcoredump
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES completions/_kcoredump
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES completions/kcoredump.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kcoredump)
set_target_properties(kcoredump_shared PROPERTIES EXPORT_NAME kcoredump)
install(EXPORT kcoredump NAMESPACE kcoredump:: FILE kcoredumpTargets.cmake
        DESTINATION ${config_folder})
configure_package_config_file(lib/abi/kcoredumpConfig.cmake.in kcoredumpConfig.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(kcoredumpConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kcoredumpConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/kcoredumpConfigVersion.cmake
        DESTINATION ${config_folder})

file(RELATIVE_PATH KCOREDUMP_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
     ${CMAKE_INSTALL_PREFIX})
configure_file(lib/abi/kcoredump.pc.in kcoredump.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kcoredump.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The module finds the library by its soname; Debian's Python looks here for every version 3.
set(KCOREDUMP_PYTHON_DIR lib/python3/dist-packages CACHE STRING
    "Where the Python module goes, below the prefix")
install(DIRECTORY lib/python/kcoredump DESTINATION ${KCOREDUMP_PYTHON_DIR}
        PATTERN __pycache__ EXCLUDE)

# One .deb, made by `cpack` in the build folder; what it depends on is read off its libraries.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME kcoredump)
set(CPACK_PACKAGE_CONTACT "kcoredump maintainers <maintainers@kcoredump.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Capture a live Linux kernel's memory, and read it back")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3, python3-drgn")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
