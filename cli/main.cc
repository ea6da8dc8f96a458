// elephas: the command line.
#include <iostream>

#include "cli/commands.h"
#include "cli/options.h"

int main(int argc, char** argv) {
  using namespace elephas::cli;
  const auto parsed = ParseCommandLine(argc, argv, std::cout, std::cerr);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  return RunCommand(std::get<Options>(parsed));
}
