#include "core/maskfd.h"

#include <errno.h>
#include <string.h>

#include "core/mask.h"
#include "core/mirror.h"
#include "core/slotpool.h"
#include "core/stats.h"
#include "core/usermem.h"
#include "efdshim/eventfd.h"

_Static_assert(sizeof(struct efd_mask) == 12, "what is written is packed");

/* EFD_VPOLL: what a write of (command << 32 | events) does with the events. */
enum vpoll_command { VPOLL_ADD = 1, VPOLL_DELETE = 2, VPOLL_SET = 3 };
enum { VPOLL_COMMAND_SHIFT = 32 };

/* A write on its way: the pair that takes the place of another one. */
struct change {
	uint32_t keep; /* events that stay as they are */
	uint32_t events;
	uint64_t data;
};

/* How many bytes one read or write of it moves. */
static size_t size_of(const struct slot *slot)
{
	return slot_kind(slot) == KIND_MASK ? sizeof(struct efd_mask) : sizeof(uint64_t);
}

static int parse_mask(const void *buf, struct change *change)
{
	struct efd_mask mask;

	memcpy(&mask, buf, sizeof(mask));
	*change = (struct change){.events = mask.events, .data = mask.data};
	return mask.events & ~MASK_EVENTS ? EINVAL : 0;
}

static int parse_vpoll(const struct slot *slot, const void *buf, struct change *change)
{
	uint64_t word;
	uint32_t events;

	memcpy(&word, buf, sizeof(word));
	events = (uint32_t)word;
	if ((uint32_t)word & ~slot_possible(slot))
		return EINVAL;
	switch (word >> VPOLL_COMMAND_SHIFT) {
	case VPOLL_ADD:
		*change = (struct change){.keep = ~events, .events = events};
		return 0;
	case VPOLL_DELETE:
		*change = (struct change){.keep = ~events};
		return 0;
	case VPOLL_SET:
		*change = (struct change){.events = events};
		return 0;
	default:
		return EINVAL;
	}
}

static int fetch(const struct slot *slot, const void *buf, size_t n, struct change *change)
{
	size_t size = size_of(slot);

	if (!usermem_in_range(buf, n))
		return EFAULT;
	if (n < size)
		return EINVAL;
	if (!usermem_loadable(buf, size))
		return EFAULT;
	return slot_kind(slot) == KIND_MASK ? parse_mask(buf, change)
					    : parse_vpoll(slot, buf, change);
}

struct outcome maskfd_write(const struct fdref *ref, const void *buf, size_t n)
{
	struct slot *slot = ref->object;
	struct mask_pair before;
	struct change change;
	uint32_t events;
	int err = fetch(slot, buf, n, &change);

	stats_add(STATS_WRITES);
	if (err)
		return outcome_err(err);
	before = mask_guess(&slot->mask);
	do { /* the slot's next object has another version */
		if (!slot_lives_as(slot, ref->generation))
			return outcome_err(EBADF);
		events = (mask_events(before.state) & change.keep) | change.events;
	} while (!mask_swap(&slot->mask, &before, events, change.data));
	mirror_mask_written(ref, mask_events(before.state), events);
	return outcome_ok((long)size_of(slot));
}

/* What a read of so many bytes stores. */
static void fill_image(const struct fdref *ref, void *image, size_t size)
{
	struct mask_pair pair = mask_load(&ref->object->mask);
	struct efd_mask mask = {.events = mask_events(pair.state), .data = pair.data};
	uint64_t word = mask.events;

	if (size == sizeof(mask))
		memcpy(image, &mask, sizeof(mask));
	else
		memcpy(image, &word, sizeof(word));
}

struct outcome maskfd_read(const struct fdref *ref, void *buf, size_t n)
{
	char image[sizeof(struct efd_mask)];
	size_t size = size_of(ref->object);

	stats_add(STATS_READS);
	stats_add(STATS_AVOIDED);
	if (!usermem_in_range(buf, n))
		return outcome_err(EFAULT);
	if (n < size)
		return outcome_err(EINVAL);
	fill_image(ref, image, size);
	return usermem_store(buf, image, size) ? outcome_ok((long)size) : outcome_err(EFAULT);
}
