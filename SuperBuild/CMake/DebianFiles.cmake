# What Debian's policy wants: a copyright file and a compressed changelog, and ldconfig run by a trigger.
set(debian ${PROJECT_BINARY_DIR}/debian)
file(WRITE ${debian}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Verdiff
Source: ${VERDIFF_HOMEPAGE}

Files: *
Copyright: 2026 The Verdiff authors
License: Apache-2.0
 The full text is in /usr/share/common-licenses/Apache-2.0.
")
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${debian}/changelog "verdiff (${PROJECT_VERSION}) unstable; urgency=medium

  * Release ${PROJECT_VERSION}.

 -- ${VERDIFF_MAINTAINER}  ${date}
")
file(WRITE ${debian}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/triggers)
find_program(VERDIFF_GZIP gzip)
if(VERDIFF_GZIP)
  execute_process(COMMAND ${VERDIFF_GZIP} -9nf ${debian}/changelog)
  install(FILES ${debian}/copyright ${debian}/changelog.gz
          DESTINATION share/doc/verdiff COMPONENT debian EXCLUDE_FROM_ALL)
endif()
