#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/setid.h"
#include "testkit.h"

TestSuite(core_setid, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

static uint64_t key_of_new_set(void)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	uint64_t key;

	cr_assert_geq(epfd, 0);
	setid_made(epfd);
	key = setid_key(epfd);
	fdtable_drop(epfd);
	close(epfd);
	return key;
}

/* The key of the first set that a child makes. */
static uint64_t key_in_child(void)
{
	uint64_t key = 0;
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	setid_forking();
	if (fork() == 0) {
		key = key_of_new_set();
		_exit(write(ends[1], &key, sizeof(key)) != sizeof(key));
	}
	wait(NULL);
	cr_assert_eq(read(ends[0], &key, sizeof(key)), sizeof(key));
	close(ends[0]);
	close(ends[1]);
	return key;
}

Test(core_setid, processes_that_part_before_the_first_set_have_keys_of_their_own)
{
	uint64_t child = key_in_child(), other = key_in_child(), own = key_of_new_set();

	cr_expect_neq(child, own);
	cr_expect_neq(child, other);
	cr_expect_neq(other, own);
}

Test(core_setid, and_so_do_those_that_part_afterwards)
{
	uint64_t own = key_of_new_set(), child = key_in_child(), next = key_of_new_set();

	cr_expect_neq(child, own);
	cr_expect_neq(child, next);
	cr_expect_eq(own >> SETID_NUMBER_BITS, child >> SETID_NUMBER_BITS);
}

Test(core_setid, a_set_is_private_until_a_fork_or_a_message)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	cr_expect_not(setid_private(epfd));
	setid_made(epfd);
	cr_expect(setid_private(epfd));
	setid_passing();
	cr_expect_not(setid_private(epfd));
	setid_made(epfd);
	cr_expect(setid_private(epfd));
	setid_forking();
	cr_expect_not(setid_private(epfd));
	setid_made(epfd);
	setid_share(epfd);
	cr_expect_not(setid_private(epfd));
	fdtable_drop(epfd);
	cr_expect_not(setid_private(epfd));
	setid_of(epfd);
	cr_expect_not(setid_private(epfd), "it came from elsewhere");
	fdtable_drop(epfd);
	close(epfd);
}

Test(core_setid, a_cookie_is_remembered_before_the_first_set_too)
{
	cr_expect_not(setid_any_cookie());
	setid_forking();
	setid_note_cookie();
	cr_expect(setid_any_cookie());
}
