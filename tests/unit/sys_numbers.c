#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/numbers.h"
#include "testkit.h"

TestSuite(sys_numbers, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

enum answer { NO, YES, FAILED };

/* What the kernel says of the table: under valgrind it has room for valgrind's own numbers, too. */
static int room(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[128];
	int found = 0;

	while (status && !found && fgets(line, sizeof(line), status))
		sscanf(line, "FDSize: %d", &found);
	if (status)
		fclose(status);
	return found;
}

static int compare(int more)
{
	if (more > STDERR_FILENO && dup2(STDIN_FILENO, more) != more)
		return FAILED;
	return numbers_are_few() == (room() <= NUMBERS_FEW) ? numbers_are_few() : FAILED;
}

/* What a child finds that has the lowest numbers only, and `more`, if that is none of those. */
static int found_with(int more)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close_range(STDERR_FILENO + 1, ~0U, 0);
		if (fork() == 0) /* its table is as small as it can be */
			_exit(compare(more));
		wait(&status);
		_exit(WEXITSTATUS(status));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(sys_numbers, few)
{
	cr_expect_neq(found_with(0), FAILED);
	cr_expect_neq(found_with(NUMBERS_FEW - 1), FAILED);
}

Test(sys_numbers, one_beyond)
{
	cr_expect_eq(found_with(NUMBERS_FEW), NO);
	cr_expect_eq(found_with(1000), NO);
}
