#include "core/fdinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "core/object.h"
#include "core/oddio.h"
#include "core/fifo.h"
#include "core/store.h"
#include "core/text.h"
#include "core/timerfd.h"
#include "sys/decoy.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { PATH_BYTES = 512, LINK_BYTES = 64, TEXT_BYTES = 1024, COUNT_WIDTH = 16 };

/* The name of the files that stand for fdinfo ones, and how /proc shows it. */
#define FILE_NAME "efdshim-fdinfo"
#define FILE_END " (deleted)"

static void own_path(char space[LINK_BYTES], const char *directory, int fd)
{
	struct text path = text_in(space, LINK_BYTES);

	text_string(&path, directory);
	text_number(&path, (uint64_t)fd, 10);
}

static long read_link(const char *path, char *target, size_t size)
{
	return raw_syscall6(SYS_readlinkat, AT_FDCWD, (long)path, (long)target, (long)size, 0, 0);
}

/* The slot of the fake fd that a path .../fdinfo/N is about: by its neighbour, .../fd/N; -1 where
 * it is about none. */
static int slot_of(const char *path)
{
	static const char info[] = "/fdinfo/";
	char space[PATH_BYTES], target[PATH_BYTES];
	struct text link = text_in(space, sizeof(space));
	const char *at = strstr(path, info);
	long n;

	if (!at)
		return -1;
	text_string(&link, path);
	text_cut(&link, (size_t)(at - path));
	text_string(&link, "/fd/");
	text_string(&link, at + strlen(info));
	n = read_link(space, target, sizeof(target));
	return n > 0 ? fifo_slot_of_link(target, (size_t)n) : -1;
}

static const struct slot *living_slot(int index)
{
	const struct slot *slot = index < 0 ? NULL : slotpool_slot((uint32_t)index);

	if (!slot || (atomic_load(&slot->life) & LIFE_STATE_MASK) != STATE_LIVE)
		return NULL;
	return slot;
}

/* Reads a file from its start; false where that fails. */
static bool read_text(int fd, char space[TEXT_BYTES])
{
	long n = raw_syscall6(SYS_pread64, fd, (long)space, TEXT_BYTES - 1, 0, 0, 0);

	if (n <= 0)
		return false;
	space[n] = 0;
	return true;
}

/* Kernels before 2.6.30 have no semaphores. */
static int open_decoy(bool semaphore)
{
	int fd = passing_eventfd(semaphore ? EFD_SEMAPHORE : 0);

	return fd < 0 && semaphore ? passing_eventfd(0) : fd;
}

/* What today's kernels show, where the running one has no eventfds. */
static void add_model(char space[TEXT_BYTES], bool semaphore)
{
	size_t used = strlen(space);
	struct text text = text_in(space + used, TEXT_BYTES - used);

	text_string(&text, "eventfd-count:                0\neventfd-id: 0\neventfd-semaphore: ");
	text_string(&text, semaphore ? "1\n" : "0\n");
}

/* What the running kernel shows of an eventfd. */
static bool read_decoys(const struct slot *slot, char space[TEXT_BYTES])
{
	bool semaphore = atomic_load(&slot->flags) & SLOT_SEMAPHORE;
	int eventfd = open_decoy(semaphore);
	int decoy = eventfd == -ENOSYS ? decoy_alike() : eventfd;
	char path[LINK_BYTES];
	bool good = false;
	int fd;

	if (decoy < 0)
		return false;
	own_path(path, "/proc/self/fdinfo/", decoy);
	fd = passing_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		good = read_text(fd, space);
		passing_close(fd);
	}
	passing_close(decoy);
	if (good && eventfd == -ENOSYS)
		add_model(space, semaphore);
	return good;
}

/* Whether the fd that a fdinfo tells of is close-on-exec. */
static bool shows_cloexec(const char *info)
{
	const char *at = strstr(info, "flags:\t");
	uint64_t flags = 0;

	if (!at)
		return false;
	for (at += strlen("flags:\t"); *at >= '0' && *at <= '7'; at++)
		flags = flags * 8 + (uint64_t)(*at - '0');
	return flags & O_CLOEXEC;
}

static void add_count(struct text *text, uint64_t count)
{
	int digits = 1;

	for (uint64_t rest = count >> 4; rest; rest >>= 4)
		digits++;
	for (; digits < COUNT_WIDTH; digits++)
		text_string(text, " ");
	text_number(text, count, 16);
}

/* What is the object's own in an eventfd's fdinfo. */
struct facts {
	uint64_t index;
	uint64_t count; /* of a mask, the events */
	uint64_t flags;
	bool semaphore;
	bool mask;
	bool ring; /* has nothing of its own */
	bool signals;
	const struct slot *timer;
};

static void add_time(struct text *text, const char *name, const struct timespec *time)
{
	text_string(text, name);
	text_string(text, ": (");
	text_number(text, (uint64_t)time->tv_sec, 10);
	text_string(text, ", ");
	text_number(text, (uint64_t)time->tv_nsec, 10);
	text_string(text, ")\n");
}

/* The lines of a timerfd. */
static void add_timer(struct text *text, const struct slot *slot)
{
	struct timerfd_facts facts = timerfd_facts(slot);

	text_string(text, "clockid: ");
	text_number(text, (uint64_t)facts.clock, 10);
	text_string(text, "\nticks: ");
	text_number(text, facts.ticks, 10);
	text_string(text, "\nsettime flags: 0");
	text_number(text, (uint64_t)facts.flags, 8);
	text_string(text, "\n");
	add_time(text, "it_value", &facts.setting.it_value);
	add_time(text, "it_interval", &facts.setting.it_interval);
}

static bool is_state(const char *line)
{
	return !strncmp(line, "eventfd-", 8) || !strncmp(line, "clockid:", 8) ||
	       !strncmp(line, "ticks:", 6) || !strncmp(line, "settime flags:", 14) ||
	       !strncmp(line, "it_", 3);
}

/* The dialect of EFD_VPOLL has its events where the count is. */
static void add_state(struct text *text, const struct facts *facts)
{
	text_string(text, facts->mask ? "eventfd-mask: " : "eventfd-count: ");
	if (facts->mask)
		text_number(text, facts->count, 16);
	else
		add_count(text, facts->count);
}

static void add_signals(struct text *text, uint64_t signals)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		text_number(text, signals >> shift & 0xf, 16);
}

static void add_line(struct text *text, const char *line, const struct facts *facts)
{
	if (!strncmp(line, "flags:", 6)) {
		text_string(text, "flags:\t0");
		text_number(text, facts->flags, 8);
	} else if (facts->signals && !strncmp(line, "eventfd-count:", 14)) {
		text_string(text, "sigmask:\t");
		add_signals(text, facts->count);
	} else if ((facts->ring || facts->signals || facts->timer) && is_state(line)) {
		return;
	} else if (!strncmp(line, "eventfd-count:", 14) || !strncmp(line, "eventfd-mask:", 13)) {
		add_state(text, facts);
	} else if (!strncmp(line, "eventfd-id:", 11)) {
		text_string(text, "eventfd-id: ");
		text_number(text, facts->index, 10);
	} else if (!strncmp(line, "eventfd-semaphore:", 18)) { /* the decoy may be none */
		text_string(
			text, facts->semaphore ? "eventfd-semaphore: 1" : "eventfd-semaphore: 0");
	} else {
		text_string(text, line);
	}
	text_string(text, "\n");
}

/* Fills in the lines of a model, which is cut up. */
static void fill_in(struct text *text, char *model, int index, bool cloexec)
{
	const struct slot *slot = slotpool_slot((uint32_t)index);
	const struct facts facts = {
		.index = (uint64_t)index,
		.count = slot_is_mask(slot) ? slot_state(slot) : atomic_load(&slot->count),
		.ring = slot_is_ring(slot),
		.semaphore = atomic_load(&slot->flags) & SLOT_SEMAPHORE,
		.signals = slot_is_signal(slot),
		.mask = slot_kind(slot) == KIND_MASK,
		.timer = slot_is_timer(slot) ? slot : NULL,
		.flags = (uint64_t)(O_RDWR | oddio_status(slot) | (cloexec ? O_CLOEXEC : 0)),
	};

	for (char *end; (end = strchr(model, '\n')); model = end + 1) {
		*end = 0;
		add_line(text, model, &facts);
	}
	if (facts.timer)
		add_timer(text, facts.timer);
}

static int pipe_of(const struct text *text)
{
	int ends[2];

	if (passing_pipe(ends))
		return -1;
	raw_write(ends[1], text->start, text->used);
	passing_close(ends[1]);
	return ends[0];
}

/* Of 3.17; before that, a file that loses its name at once. */
static int nameless_file(void)
{
	char space[LINK_BYTES];
	struct text name = text_in(space, sizeof(space));
	int fd = passing_memfd(FILE_NAME);

	if (fd != -ENOSYS)
		return fd;
	text_string(&name, FILE_NAME ".");
	text_number(&name, (uint64_t)raw_getpid(), 10);
	store_unlink(space);
	fd = store_open_file(space, O_RDWR | O_CREAT | O_EXCL, 0600);
	store_unlink(space);
	return fd;
}

static bool is_nameless_file(const char *path)
{
	char target[PATH_BYTES];
	long n = read_link(path, target, sizeof(target) - 1);
	const long end = (long)strlen(FILE_END);

	if (n < end)
		return false;
	target[n] = 0;
	return strstr(target, FILE_NAME) && !strcmp(target + n - end, FILE_END);
}

/* A file that reads as `text`. */
static int file_of(const struct text *text)
{
	int fd = nameless_file();
	char path[LINK_BYTES];
	int readonly;

	if (fd < 0)
		return pipe_of(text);
	raw_write(fd, text->start, text->used);
	own_path(path, "/proc/self/fd/", fd);
	readonly = passing_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	passing_close(fd);
	return readonly;
}

int fdinfo_open(int fd, const char *path, uint32_t *slot)
{
	char real[TEXT_BYTES], model[TEXT_BYTES], space[TEXT_BYTES];
	struct text text = text_in(space, sizeof(space));
	int index = slot_of(path);
	const struct slot *object = living_slot(index);

	if (!object || !read_text(fd, real) || !read_decoys(object, model))
		return -1;
	fill_in(&text, model, index, shows_cloexec(real));
	*slot = (uint32_t)index;
	return file_of(&text);
}

void fdinfo_refresh(int fd)
{
	char path[LINK_BYTES], old[TEXT_BYTES], space[TEXT_BYTES];
	struct text text = text_in(space, sizeof(space));
	int index = fdtable_info_slot(fd);
	int file;

	if (!living_slot(index))
		return;
	own_path(path, "/proc/self/fd/", fd);
	if (!is_nameless_file(path) || !read_text(fd, old))
		return;
	fill_in(&text, old, index, shows_cloexec(old));
	file = passing_openat(AT_FDCWD, path, O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
	if (file < 0)
		return;
	raw_write(file, text.start, text.used);
	passing_close(file);
}
