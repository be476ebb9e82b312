/* The protocol of pins and closes among threads and signal handlers: a number goes back to the
 * kernel once, and never under a pin. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "core/fdtable.h"
#include "step.h"

static void setup(void)
{
	unit_setup();
	cr_assert_eq(fdtable_init(), 0);
}

TestSuite(core_fdtable_race, .init = setup, .fini = unit_teardown, .timeout = 40);

/* One number; its closing is counted instead of done. */
struct number {
	int fd;
	uint32_t generation;
	atomic_int pinned;
	atomic_int closes;
	atomic_int closed_under_pin;
};

static bool decode(int fd, struct fdref *ref)
{
	return fdtable_decode(fd, fdtable_entry(fd), ref);
}

static void give_back(struct number *number, const struct fdref *ref)
{
	if (atomic_load(&number->pinned))
		atomic_fetch_add(&number->closed_under_pin, 1);
	atomic_fetch_add(&number->closes, 1);
	fdtable_closed(ref);
}

static void use(struct number *number)
{
	struct fdref ref;

	if (!decode(number->fd, &ref) || !fdtable_pin(&ref))
		return;
	atomic_fetch_add(&number->pinned, 1);
	atomic_fetch_sub(&number->pinned, 1);
	if (fdtable_unpin(&ref))
		give_back(number, &ref);
}

static void close_it(struct number *number)
{
	struct fdref ref;

	if (decode(number->fd, &ref) && fdtable_begin_close(&ref) == CLOSE_NOW)
		give_back(number, &ref);
}

static void open_it(struct number *number)
{
	atomic_store(&number->closes, 0);
	cr_assert(fdtable_set_object(number->fd, 3, ++number->generation));
}

/* A whole operation within another one, at every instruction. */
struct meeting {
	struct number number;
	void (*first)(struct number *number);
	void (*second)(struct number *number);
	int closes;
};

static void prepare(void *arg)
{
	struct meeting *meeting = arg;

	open_it(&meeting->number);
}

static void run_first(void *arg)
{
	struct meeting *meeting = arg;

	meeting->first(&meeting->number);
}

static void run_second(void *arg)
{
	struct meeting *meeting = arg;

	meeting->second(&meeting->number);
}

static void check(void *arg)
{
	struct meeting *meeting = arg;
	struct number *number = &meeting->number;

	close_it(number);
	cr_assert_eq(atomic_load(&number->closes), 1, "given back %d times", number->closes);
	cr_assert_eq(atomic_load(&number->closed_under_pin), 0);
	cr_assert(fdtable_foreign(number->fd));
}

static void meet(void (*first)(struct number *), void (*second)(struct number *))
{
	struct meeting meeting = {.number.fd = 700, .first = first, .second = second};
	struct step step = {.run = run_first, .intrude = run_second, .arg = &meeting};

	step_each(&step, prepare, check);
}

Test(core_fdtable_race, a_close_within_a_use)
{
	meet(use, close_it);
}

Test(core_fdtable_race, a_use_within_a_close)
{
	meet(close_it, use);
}

Test(core_fdtable_race, a_close_within_a_close)
{
	meet(close_it, close_it);
}

Test(core_fdtable_race, a_use_within_a_use)
{
	meet(use, use);
}

static void close_and_open(struct number *number)
{
	close_it(number);
	if (fdtable_foreign(number->fd))
		open_it(number);
}

Test(core_fdtable_race, a_number_closed_and_opened_again_within_a_use)
{
	meet(use, close_and_open);
}

Test(core_fdtable_race, a_number_closed_and_opened_again_within_a_close)
{
	struct meeting meeting = {
		.number.fd = 700,
		.first = close_it,
		.second = close_and_open,
	};
	struct step step = {.run = run_first, .intrude = run_second, .arg = &meeting};

	for (step.at = 1; step_works(); step.at += STEP_STRIDE) {
		prepare(&meeting);
		step_run(&step);
		if (step.taken < step.at)
			break;
		/* the first close has hit the old number or the new one, never both */
		cr_assert(atomic_load(&meeting.number.closes) <= 1);
		fdtable_drop(700);
	}
}

/* Real numbers, that somebody else grabs as soon as they are free. */
enum { ROUNDS = 10000, USERS = 2, CLOSERS = 2, GRABS = 4, ALL = USERS + CLOSERS + 1 };

struct crowd {
	pthread_barrier_t start, pause;
	atomic_bool over;
	const char *path;
	ino_t inode;
	atomic_int fd;
	atomic_int closes;
	atomic_int strangers; /* seen under a pin */
	atomic_int failed;
	atomic_long handled;
	int grabbed[GRABS];
};

static struct crowd crowd;

static void really_close(const struct fdref *ref)
{
	if (close(ref->fd))
		atomic_fetch_add(&crowd.failed, 1);
	atomic_fetch_add(&crowd.closes, 1);
	fdtable_closed(ref);
}

static void really_use(void)
{
	struct fdref ref;
	struct stat st;

	if (!decode(atomic_load(&crowd.fd), &ref) || !fdtable_pin(&ref))
		return;
	if (fstat(ref.fd, &st) || st.st_ino != crowd.inode)
		atomic_fetch_add(&crowd.strangers, 1);
	if (fdtable_unpin(&ref))
		really_close(&ref);
}

static void user(void)
{
	for (int i = 0; i < 4; i++)
		really_use();
}

static void closer(void)
{
	struct fdref ref;

	if (decode(atomic_load(&crowd.fd), &ref) && fdtable_begin_close(&ref) == CLOSE_NOW)
		really_close(&ref);
}

static void grabber(void)
{
	for (int i = 0; i < GRABS; i++) {
		crowd.grabbed[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fdtable_drop(crowd.grabbed[i]);
	}
}

static void handle(int sig)
{
	(void)sig;
	really_use();
	atomic_fetch_add(&crowd.handled, 1);
}

static void *member(void *arg)
{
	void (**act)(void) = arg;

	for (;;) {
		pthread_barrier_wait(&crowd.start);
		if (atomic_load(&crowd.over))
			return NULL;
		(*act)();
		pthread_barrier_wait(&crowd.pause);
	}
}

static void one_round(uint32_t round, pthread_t interrupted)
{
	int fd = open(crowd.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	long handled = atomic_load(&crowd.handled);

	cr_assert(fd >= 0);
	cr_assert(fdtable_set_object(fd, 3, round));
	atomic_store(&crowd.fd, fd);
	atomic_store(&crowd.closes, 0);
	pthread_barrier_wait(&crowd.start);
	pthread_kill(interrupted, SIGUSR1);
	while (atomic_load(&crowd.handled) == handled)
		sched_yield();
	pthread_barrier_wait(&crowd.pause);
	cr_assert_eq(atomic_load(&crowd.closes), 1);
	cr_assert_eq(atomic_load(&crowd.strangers), 0);
	cr_assert_eq(atomic_load(&crowd.failed), 0);
	cr_assert(fdtable_foreign(fd));
	for (int i = 0; i < GRABS; i++)
		close(crowd.grabbed[i]);
}

Test(core_fdtable_race, threads_and_handlers_never_meet_a_strangers_file)
{
	static void (*acts[ALL])(void) = {user, user, closer, closer, grabber};
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
	struct unit_rounds round = unit_rounds(ROUNDS);
	pthread_t threads[ALL];
	struct stat st;

	crowd.path = strdup(unit_path("fifo"));
	cr_assert_eq(mkfifo(crowd.path, 0600), 0);
	cr_assert_eq(stat(crowd.path, &st), 0);
	crowd.inode = st.st_ino;
	sigaction(SIGUSR1, &action, NULL);
	pthread_barrier_init(&crowd.start, NULL, ALL + 1);
	pthread_barrier_init(&crowd.pause, NULL, ALL + 1);
	for (int i = 0; i < ALL; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, member, &acts[i]), 0);
	while (unit_another_round(&round))
		one_round((uint32_t)round.left, threads[round.left % (USERS + CLOSERS)]);
	atomic_store(&crowd.over, true);
	pthread_barrier_wait(&crowd.start);
	for (int i = 0; i < ALL; i++)
		pthread_join(threads[i], NULL);
	free((void *)(uintptr_t)crowd.path);
}
