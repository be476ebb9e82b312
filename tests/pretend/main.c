/* pretend VERSION COMMAND...: as `efdshim run --bare --as-kernel VERSION -- COMMAND...`, but the
 * tests' own raw calls still reach the running kernel. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/kernels.h"
#include "testkit.h"

int main(int argc, char **argv)
{
	uint32_t version = argc > 2 ? kernel_named(argv[1]) : 0;
	int error;

	if (!version) {
		fprintf(stderr, "usage: pretend %s COMMAND...\n", kernel_versions());
		return 125;
	}
	error = kernel_pretend(version, TK_UNFILTERED);
	if (error) {
		fprintf(stderr, "pretend: %s\n", strerror(error));
		return 125;
	}
	execvp(argv[2], argv + 2);
	return 127;
}
