#include "core/fifoloan.h"

#include <stdatomic.h>

#include "core/fifo.h"
#include "core/object.h"
#include "sys/passing.h"

/* Pins another number of the object's; -1 where this process has none. */
static int pin_copy(const struct fdref *ref)
{
	uint64_t entry = ref->entry;

	for (uint32_t fd = 0; entry && fd < fdtable_top(); fd++) {
		struct fdref copy;

		if (fdtable_decode((int)fd, fdtable_entry((int)fd), &copy) && copy.entry == entry &&
			fdtable_pin(&copy))
			return (int)fd;
	}
	return -1;
}

/* A file of the library's own is the last resort. */
struct fifo_loan fifoloan_borrow(const struct fdref *ref)
{
	uint64_t inode = atomic_load(&ref->object->inode);
	int copy;

	if (ref->entry & FDREF_LENT)
		return (struct fifo_loan){.fd = ref->fd, .lent = true};
	if (fdtable_pin(ref))
		return (struct fifo_loan){.fd = ref->fd};
	copy = pin_copy(ref);
	if (copy >= 0)
		return (struct fifo_loan){.fd = copy};
	return (struct fifo_loan){
		.fd = fifo_open_passing(ref->slot, CLASS_IN, &inode),
		.opened = true,
	};
}

void fifoloan_return(const struct fdref *ref, struct fifo_loan loan)
{
	struct fdref pinned = *ref;

	pinned.fd = loan.fd;
	if (loan.lent)
		return;
	if (!loan.opened)
		object_unpin(&pinned);
	else if (loan.fd >= 0)
		passing_close(loan.fd);
}
