/* efdshim ls: the living objects of this user. */
#include "cli.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process.h"
#include "core/slotpool.h"
#include "core/fifo.h"
#include "core/store.h"
#include "state.h"

/* Who has which object open. */
struct holder {
	uint32_t slot;
	int pid;
};

struct holders {
	struct holder *all;
	size_t count, room;
};

static void note(struct holders *holders, uint32_t slot, int pid)
{
	if (holders->count && holders->all[holders->count - 1].slot == slot &&
		holders->all[holders->count - 1].pid == pid)
		return;
	if (holders->count == holders->room) {
		size_t room = holders->room ? 2 * holders->room : 64;
		struct holder *all = realloc(holders->all, room * sizeof(*all));
		if (!all)
			return;
		holders->all = all;
		holders->room = room;
	}
	holders->all[holders->count++] = (struct holder){slot, pid};
}

static void look_at(struct holders *holders, int pid)
{
	char path[64], name[PATH_MAX], target[PATH_MAX];
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (struct dirent *entry; (entry = readdir(dir));) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		ssize_t n = readlink(name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		int slot = fifo_slot_of_link(target, (size_t)n);
		if (slot >= 0)
			note(holders, (uint32_t)slot, pid);
	}
	closedir(dir);
}

static int compare(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct holders find_holders(void)
{
	struct holders holders = {0};
	DIR *dir = opendir("/proc");
	if (!dir)
		return holders;
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at(&holders, atoi(entry->d_name));
	}
	closedir(dir);
	if (holders.count)
		qsort(holders.all, holders.count, sizeof(*holders.all), compare);
	return holders;
}

static void print_flags(uint32_t flags)
{
	const char *semaphore = flags & SLOT_SEMAPHORE ? "semaphore" : "";
	const char *nonblock = flags & SLOT_NONBLOCK ? "nonblock" : "";
	printf(" flags=%s%s%s%s", semaphore, *semaphore && *nonblock ? "," : "", nonblock,
		*semaphore || *nonblock ? "" : "-");
}

static void print_events(uint32_t events)
{
	static const char *const names[] = {"in", "pri", "out", "err", "hup", NULL, "rdnorm",
		"rdband", "wrnorm", "wrband", "msg", NULL, NULL, "rdhup"};
	const char *before = "";
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i] && events & 1u << i) {
			printf("%s%s", before, names[i]);
			before = ",";
		}
	}
	printf(*before ? "" : "-");
}

/* What watchers wait for, of all classes together. */
static void print_watchers(const struct slot *slot)
{
	uint32_t watched = atomic_load(&slot->watched);
	unsigned bits = watched & (WATCHED_OUT | WATCHED_FAST_OUT) ? CLASS_OUT : 0;

	if (watched & (WATCHED_FAST | 1u << CLASS_RESTING))
		bits |= CLASS_IN;
	watched &= ~(1u << CLASS_RESTING);
	for (unsigned class = 1; class < CLASS_COUNT; class ++)
		bits |= watched & 1u << class ? class : 0;
	/* a class has the poll bits' own values */
	if (slot_is_mask(slot))
		bits = slot_wanted(slot) & (EPOLLIN | EPOLLPRI | EPOLLOUT);
	printf(" watchers=");
	print_events(bits);
}

static void print_state(const struct slot *slot)
{
	if (slot_is_signal(slot)) {
		printf(" signalfd mask=%" PRIx64, atomic_load(&slot->count));
		return;
	}
	if (slot_is_timer(slot)) {
		printf(" timer");
		return;
	}
	if (!slot_is_mask(slot)) {
		printf(" counter count=%" PRIu64, atomic_load(&slot->count));
		return;
	}
	if (slot_is_ring(slot)) { /* what it shows is in the memory of others */
		printf(" asyncfd");
		return;
	}
	printf(" %s events=", slot_kind(slot) == KIND_MASK ? "mask" : "vpoll");
	print_events(slot_state(slot));
}

/* Slots are printed in the order of the holders: *next moves along. */
static void print_pids(const struct holders *holders, uint32_t slot, size_t *next)
{
	const char *before = "";
	int last = -1;
	printf(" pids=");
	while (*next < holders->count && holders->all[*next].slot < slot)
		(*next)++;
	for (size_t i = *next; i < holders->count && holders->all[i].slot == slot; i++) {
		if (holders->all[i].pid == last)
			continue;
		last = holders->all[i].pid;
		printf("%s%d", before, last);
		before = ",";
	}
	printf(*before ? "\n" : "-\n");
}

static void print_slot(
	uint32_t index, const struct slot *slot, const struct holders *holders, size_t *next)
{
	printf("%" PRIu32, index);
	print_state(slot);
	print_flags(atomic_load(&slot->flags));
	print_watchers(slot);
	print_pids(holders, index, next);
}

int cli_ls(int argc, char **argv)
{
	int code;
	if (!state_options("ls", argc, argv, &code) || !state_open(&code))
		return code;
	struct holders holders = find_holders();
	size_t next = 0;
	for (uint32_t i = 1; i < slotpool_used(); i++) {
		const struct slot *slot = slotpool_slot(i);
		if (slot && (atomic_load(&slot->life) & LIFE_STATE_MASK) == STATE_LIVE &&
			fifo_liveness(i) != LIVE_NOWHERE)
			print_slot(i, slot, &holders, &next);
	}
	free(holders.all);
	return CLI_OK;
}
