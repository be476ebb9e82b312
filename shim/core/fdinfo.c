#include "core/fdinfo.h"

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
#include "sys/passing.h"
#include "sys/raw.h"

enum { PATH_BYTES = 512, LINK_BYTES = 64, TEXT_BYTES = 1024, COUNT_WIDTH = 16 };

/* The name of the files that stand for fdinfo ones, and how /proc shows it. */
#define FILE_NAME "efdshim-fdinfo"
#define FILE_LINK "/memfd:" FILE_NAME " (deleted)"

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

/* What the running kernel shows of an eventfd. */
static bool read_decoys(const struct slot *slot, char space[TEXT_BYTES])
{
	bool semaphore = atomic_load(&slot->flags) & SLOT_SEMAPHORE;
	int decoy = passing_eventfd(semaphore ? EFD_SEMAPHORE : 0);
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
	bool mask;
	bool ring; /* has nothing of its own */
};

/* The dialect of EFD_VPOLL has its events where the count is. */
static void add_state(struct text *text, const struct facts *facts)
{
	text_string(text, facts->mask ? "eventfd-mask: " : "eventfd-count: ");
	if (facts->mask)
		text_number(text, facts->count, 16);
	else
		add_count(text, facts->count);
}

static void add_line(struct text *text, const char *line, const struct facts *facts)
{
	if (!strncmp(line, "flags:", 6)) {
		text_string(text, "flags:\t0");
		text_number(text, facts->flags, 8);
	} else if (facts->ring && !strncmp(line, "eventfd-", 8)) {
		return;
	} else if (!strncmp(line, "eventfd-count:", 14) || !strncmp(line, "eventfd-mask:", 13)) {
		add_state(text, facts);
	} else if (!strncmp(line, "eventfd-id:", 11)) {
		text_string(text, "eventfd-id: ");
		text_number(text, facts->index, 10);
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
		.mask = slot_kind(slot) == KIND_MASK,
		.flags = (uint64_t)(O_RDWR | oddio_status(slot) | (cloexec ? O_CLOEXEC : 0)),
	};

	for (char *end; (end = strchr(model, '\n')); model = end + 1) {
		*end = 0;
		add_line(text, model, &facts);
	}
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

/* A file that reads as `text`. */
static int file_of(const struct text *text)
{
	int fd = passing_memfd(FILE_NAME);
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
	char path[LINK_BYTES], target[LINK_BYTES], old[TEXT_BYTES], space[TEXT_BYTES];
	struct text text = text_in(space, sizeof(space));
	int index = fdtable_info_slot(fd);
	int file;

	if (!living_slot(index))
		return;
	own_path(path, "/proc/self/fd/", fd);
	if (read_link(path, target, sizeof(target)) != (long)strlen(FILE_LINK) ||
		memcmp(target, FILE_LINK, strlen(FILE_LINK)) != 0 || !read_text(fd, old))
		return;
	fill_in(&text, old, index, shows_cloexec(old));
	file = passing_openat(AT_FDCWD, path, O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
	if (file < 0)
		return;
	raw_write(file, text.start, text.used);
	passing_close(file);
}
