// elephas: the command line.
#include <iostream>

#include "cli/command_line/options.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  const auto parsed = elephas::cli::ParseCommandLine(argc, argv, std::cout, std::cerr);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  return elephas::cli::RunCommand(std::get<elephas::cli::Options>(parsed));
}
