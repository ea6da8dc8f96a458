# What every test sees, whatever the shell that started ctest had set.
set(ELEPHAS_TEST_ENVIRONMENT
  "ELEPHAS_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  "ELEPHAS_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "ELEPHAS_SANITIZE=${ELEPHAS_SANITIZE}"
  # LibTorch's idle OpenMP threads would spin on the cores that the other processes of a test need.
  OMP_WAIT_POLICY=passive
  KERAS_BACKEND=jax
  JAX_PLATFORMS=cpu
  PYTHONDONTWRITEBYTECODE=1
  PYTHONHASHSEED=0
  # A proxy of the machine must not come between a test and its own server on loopback.
  NO_PROXY=localhost,127.0.0.1,::1
  no_proxy=localhost,127.0.0.1,::1
  # allocator_may_return_null: a server that is asked for too much memory answers, it does not abort.
  # detect_odr_violation: LibTorch's libraries carry several copies of the same globals, none ours.
  "ASAN_OPTIONS=detect_odr_violation=0:allocator_may_return_null=1:strict_string_checks=1:check_initialization_order=1"
  "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/scripts/lsan.supp:print_suppressions=0"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=allocator_may_return_null=1:suppressions=${PROJECT_SOURCE_DIR}/scripts/tsan.supp:halt_on_error=1:second_deadlock_stack=1")
# Instrumented code runs several times slower.
if(ELEPHAS_SANITIZE)
  set(ELEPHAS_TIMEOUT_FACTOR 5)
else()
  set(ELEPHAS_TIMEOUT_FACTOR 1)
endif()

# elephas_add_test(NAME [TIMEOUT seconds] [LIBS target...] [SOURCES file...]): one GoogleTest program, its cases
# as ctest entries named NAME.Suite.Case, of 120 s each unless said otherwise. A folder's tests go into the one
# program of its component with elephas_add_tests; a program of its own is for what needs one.
function(elephas_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} elephas_options GTest::gmock GTest::gtest_main)
  if(CMAKE_CXX_FLAGS_RELWITHDEBINFO MATCHES "-O2")
    # Assertions run once: what -O2 costs to compile them it never gives back. Nor do their line numbers.
    target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1 -g0>)
  endif()
  if(ELEPHAS_SANITIZE)
    # A third less to compile; what the tests call is optimised as it was.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  # bin/ is for what people run.
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test-bin")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  math(EXPR timeout "${ARG_TIMEOUT} * ${ELEPHAS_TIMEOUT_FACTOR}")
  gtest_discover_tests(${name}
    TEST_PREFIX "${ELEPHAS_TEST_PREFIX}${name}."
    DISCOVERY_TIMEOUT 120
    PROPERTIES TIMEOUT ${timeout} LABELS unit)
  # PROPERTIES above takes no lists, so the environment follows in a file of its own.
  set(include_file "${CMAKE_CURRENT_BINARY_DIR}/${name}_environment.cmake")
  file(WRITE "${include_file}"
    "set_tests_properties(\${${name}_TESTS} PROPERTIES ENVIRONMENT [==[${ELEPHAS_TEST_ENVIRONMENT}]==])\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include_file}")
endfunction()

# elephas_add_test_program(NAME): the test program of a component, with the headers that every test reads
# compiled once.
function(elephas_add_test_program name)
  elephas_add_test(${name})
  target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp> ${ARGN})
endfunction()

# elephas_add_tests(PROGRAM LIBS target... SOURCES file...): the tests of the folder that calls it.
function(elephas_add_tests program)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  target_sources(${program} PRIVATE ${ARG_SOURCES})
  target_link_libraries(${program} PRIVATE ${ARG_LIBS})
endfunction()

# elephas_add_pytest(NAME FOLDER [TIMEOUT seconds] [LABELS label...]): all test_*.py of a folder (relative
# to the caller's) as one ctest entry, run by the Python that scripts/setup.sh prepared. Fixtures:
# tests/conftest.py. Default timeout 300 s; labels get "pytest" added.
function(elephas_add_pytest name folder)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  math(EXPR timeout "${ARG_TIMEOUT} * ${ELEPHAS_TIMEOUT_FACTOR}")
  set(full_name "${ELEPHAS_TEST_PREFIX}${name}")
  add_test(NAME "${full_name}"
    COMMAND "${ELEPHAS_DEPS_DIR}/venv/bin/python" -m pytest -q -p no:cacheprovider
            --rootdir "${PROJECT_SOURCE_DIR}/tests" --confcutdir "${PROJECT_SOURCE_DIR}"
            "${CMAKE_CURRENT_SOURCE_DIR}/${folder}"
    WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  set_tests_properties("${full_name}" PROPERTIES
    TIMEOUT ${timeout} LABELS "pytest;${ARG_LABELS}" ENVIRONMENT "${ELEPHAS_TEST_ENVIRONMENT}")
endfunction()
