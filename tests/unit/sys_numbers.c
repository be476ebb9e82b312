#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/numbers.h"
#include "testkit.h"

TestSuite(sys_numbers, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

/* What a child finds that has the lowest numbers only, and `more`, if that is none of those. */
static int found_with(int more)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close_range(3, ~0U, 0);
		if (fork() == 0) { /* its table is as small as it can be */
			if (more > 2 && dup2(0, more) != more)
				_exit(2);
			_exit(numbers_are_few());
		}
		wait(&status);
		_exit(WEXITSTATUS(status));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(sys_numbers, few)
{
	cr_expect_eq(found_with(0), 1);
	cr_expect_eq(found_with(NUMBERS_FEW - 1), 1);
}

Test(sys_numbers, one_beyond)
{
	cr_expect_eq(found_with(NUMBERS_FEW), 0);
	cr_expect_eq(found_with(1000), 0);
}
