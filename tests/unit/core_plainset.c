#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/plainset.h"
#include "testkit.h"

TestSuite(core_plainset, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static int new_set(void)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	cr_assert_geq(epfd, 0);
	setid_made(epfd);
	return epfd;
}

static void end_of(int epfd)
{
	fdtable_drop(epfd);
	close(epfd);
}

/* A child of fork is the only thread, whatever its parent is; libc leaves its word on it as it was.
 */
static void in_child(void (*look)(void))
{
	int status;
	pid_t pid;

	if (!&__libc_single_threaded)
		cr_skip_test("this libc does not tell whether a thread is alone");
	pid = fork();

	if (pid == 0) {
		__libc_single_threaded = 1;
		look();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "%s", "a look that fails exits with its number");
}

static void demand(bool right, int number)
{
	if (!right)
		_exit(number);
}

static void look_at_what_is_put_in(void)
{
	int one = new_set(), other = new_set();

	demand(plainset_is(one) && plainset_is(other), 2);
	plainset_end(one);
	demand(!plainset_is(one), 3);
	demand(plainset_is(other), 4);
	end_of(one);
	end_of(other);
}

Test(core_plainset, a_set_is_plain_until_a_fake_fd_is_put_in)
{
	in_child(look_at_what_is_put_in);
}

static void look_at_strangers(void)
{
	int own = new_set(), made_elsewhere = epoll_create1(EPOLL_CLOEXEC);

	demand(!plainset_is(-1), 1);
	demand(!plainset_is(STDIN_FILENO), 2);
	demand(!plainset_is(made_elsewhere), 3);
	setid_of(made_elsewhere);
	demand(!plainset_is(made_elsewhere), 4);
	demand(plainset_is(own), 5);
	setid_forking();
	demand(!plainset_is(own), 6);
	end_of(own);
	end_of(made_elsewhere);
}

Test(core_plainset, others_sets_are_not)
{
	in_child(look_at_strangers);
}

static void *look_from_thread(void *epfd)
{
	return plainset_is(*(int *)epfd) ? epfd : NULL;
}

Test(core_plainset, nor_is_any_where_there_are_threads)
{
	int epfd = new_set();
	pthread_t thread;
	void *plain;

	cr_assert_eq(pthread_create(&thread, NULL, look_from_thread, &epfd), 0);
	pthread_join(thread, &plain);
	cr_expect_null(plain);
	end_of(epfd);
}
