/* The runner: a process a test. What it prints ends as Criterion's does. */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 60, EXIT_UNKNOWN = 126 };
enum verdict { PASSED, FAILED, CRASHED, SKIPPED, VERDICTS };

static struct mini_test *first;
static struct mini_test **last = &first;
static const char *filter = "*";
static int counts[VERDICTS];

/* Set by any process of a test. */
static struct shared {
	_Atomic int failed;
	_Atomic int skipped;
} * shared;

void mini_add(struct mini_test *test)
{
	*last = test;
	last = &test->next;
}

static void tell(const char *before, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	dprintf(STDERR_FILENO, "[----] %s%s\n", before, text);
}

/* A thread or a child may be the one that asserts: the process ends with it. */
void mini_failed(bool fatal, const char *file, int line, const char *what, const char *format, ...)
{
	char before[512];
	va_list args;

	atomic_store(&shared->failed, 1);
	snprintf(before, sizeof(before), "%s:%d: Assertion failed: %s:", file, line, what);
	va_start(args, format);
	tell(before, format, args);
	va_end(args);
	if (fatal)
		_exit(1);
}

void cr_skip_test(const char *format, ...)
{
	va_list args;

	atomic_store(&shared->skipped, 1);
	va_start(args, format);
	tell("skipped: ", format, args);
	va_end(args);
	_exit(0);
}

void cr_log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell("", format, args);
	va_end(args);
}

static const struct mini_extra *suite_of(const struct mini_test *test)
{
	static const struct mini_extra none;

	for (const struct mini_test *one = first; one; one = one->next) {
		if (!one->name && !strcmp(one->suite, test->suite))
			return &one->extra;
	}
	return &none;
}

static void be_test(const struct mini_test *test, const struct mini_extra *suite, void *parameter)
{
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &children, NULL);
	if (suite->init)
		suite->init();
	test->run(parameter);
	if (suite->fini)
		suite->fini();
	exit(0);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The status it ended with; 0 with *late where it had to be killed. */
static int wait_for(pid_t pid, double seconds, bool *late)
{
	int64_t end = now_ms() + (int64_t)(seconds * 1000);
	sigset_t children;
	int status = 0;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		int64_t left = end - now_ms();
		struct timespec rest = {left / 1000, left % 1000 * 1000000};

		if (left > 0) {
			sigtimedwait(&children, NULL, &rest);
			continue;
		}
		*late = true;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		break;
	}
	return status;
}

static enum verdict verdict_of(const struct mini_test *test, int status, bool late)
{
	if (late || (WIFSIGNALED(status) && WTERMSIG(status) != test->extra.signal))
		return CRASHED;
	if (atomic_load(&shared->failed) || (WIFEXITED(status) && WEXITSTATUS(status)))
		return FAILED;
	if (WIFEXITED(status) && test->extra.signal && !atomic_load(&shared->skipped))
		return FAILED;
	return atomic_load(&shared->skipped) ? SKIPPED : PASSED;
}

static void run_one(const struct mini_test *test, void *parameter)
{
	static const char *const names[VERDICTS] = {"PASS", "FAIL", "CRASH", "SKIP"};
	const struct mini_extra *suite = suite_of(test);
	bool late = false;
	enum verdict verdict;
	pid_t pid;
	int status;

	atomic_store(&shared->failed, 0);
	atomic_store(&shared->skipped, 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		be_test(test, suite, parameter);
	status = pid < 0 ? 1 << 8 : wait_for(pid, suite->timeout ? suite->timeout : SECONDS, &late);
	verdict = verdict_of(test, status, late);
	counts[verdict]++;
	if (verdict != PASSED)
		fprintf(stderr, "[%s] %s::%s%s (status %#x)\n", names[verdict], test->suite,
			test->name, late ? ": too slow" : "", (unsigned)status);
}

static void run(const struct mini_test *test)
{
	struct criterion_test_params params;

	if (!test->params) {
		run_one(test, NULL);
		return;
	}
	params = test->params();
	for (size_t i = 0; i < params.length; i++)
		run_one(test, (char *)params.params + i * params.size);
}

struct criterion_test_set *criterion_initialize(void)
{
	return NULL;
}

/* --filter=SUITE/TEST, a pattern; the rest is Criterion's. A test must not come to run all tests:
 * one that executes itself means some other thing. */
bool criterion_handle_args(int argc, char **argv, bool handle_unknown)
{
	static const char option[] = "--filter=", inside[] = "MINI_INSIDE";

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], option, strlen(option)))
			filter = argv[i] + strlen(option);
		else if (strncmp(argv[i], "--", 2) != 0)
			_exit(EXIT_UNKNOWN);
	}
	if (getenv(inside))
		_exit(EXIT_UNKNOWN);
	setenv(inside, "1", 1);
	return handle_unknown;
}

int criterion_run_all_tests(struct criterion_test_set *set)
{
	sigset_t children;
	char path[512];

	(void)set;
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	close(eventfd(0, 0)); /* as Criterion's messages use some: the shim's own fds are there */
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	for (const struct mini_test *test = first; test; test = test->next) {
		snprintf(path, sizeof(path), "%s/%s", test->suite, test->name ? test->name : "");
		if (test->name && !fnmatch(filter, path, 0))
			run(test);
	}
	fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n",
		counts[PASSED] + counts[FAILED] + counts[CRASHED], counts[PASSED], counts[FAILED],
		counts[CRASHED]);
	return !counts[FAILED] && !counts[CRASHED];
}

void criterion_finalize(struct criterion_test_set *set)
{
	(void)set;
}
