/* What the launcher's files share: exit codes, one voice for complaints, the verbs. */
#ifndef EFDSHIM_CLI_H
#define EFDSHIM_CLI_H

#include "elf.h"

#include <limits.h>

#define CLI_VERSION "0.1.0"

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_REFUSED = 125,
	CLI_NOT_EXECUTABLE = 126,
	CLI_NOT_FOUND = 127,
};

/* Prints "efdshim: " and one line on stderr. */
__attribute__((format(printf, 1, 2))) void cli_complain(const char *format, ...);

/* Each of these returns CLI_OK, or the exit code after having complained. */
int library_find(char path[PATH_MAX], struct elf_file *elf);
int library_preload(const char *library);
int library_leave_out(void);
int program_find(const char *name, char path[PATH_MAX]);
int program_judge(const char *path, const char *library, const struct elf_file *wanted);

int cli_run(int argc, char **argv);
int cli_ls(int argc, char **argv);
int cli_gc(int argc, char **argv);
int cli_doctor(int argc, char **argv);

#endif
