#include "core/cli/command.h"

int main(int argc, char** argv) { return xp::cli::run_command_line(argc, argv); }
