#include "core/slot.h"

#include "core/asyncring.h"
#include "core/counter.h"
#include "core/signalfd.h"
#include "core/timer.h"

uint32_t slot_state(const struct slot *slot)
{
	if (slot_is_ring(slot))
		return asyncring_state(slot);
	if (slot_is_mask(slot))
		return mask_events(atomic_load(&slot->mask.state));
	if (slot_is_signal(slot))
		return signalfd_state(slot);
	if (slot_is_timer(slot))
		return timer_fired(timer_guess(&slot->mask)) ? EPOLLIN : 0;
	return counter_state(atomic_load(&slot->count));
}

/* Interest and class have the same bits. */
static unsigned mask_class(uint32_t interest)
{
	if (interest & ~(uint32_t)(EPOLLIN | EPOLLPRI | EPOLLOUT))
		return CLASS_IN;
	return interest & ~(uint32_t)EPOLLIN ? interest : interest | CLASS_APART;
}

/* Of a counter the own FIFO shows every state: IN, IN and OUT, OUT. What it cannot show is the edge
 * of OUT that each read is. */
unsigned slot_class(const struct slot *slot, uint32_t events)
{
	uint32_t interest = events & slot_possible(slot);

	if (slot_is_mask(slot))
		return mask_class(interest & ~(uint32_t)(EPOLLERR | EPOLLHUP));
	if (!interest)
		return slot_signalled(slot) ? CLASS_APART : CLASS_NONE;
	if (!(interest & EPOLLOUT) || !(events & (EPOLLET | EPOLLEXCLUSIVE)))
		return CLASS_IN;
	return interest & EPOLLIN ? CLASS_IN | CLASS_OUT : CLASS_OUT;
}

uint32_t slot_possible(const struct slot *slot)
{
	switch (slot_kind(slot)) {
	case KIND_MASK:
		return MASK_EVENTS;
	case KIND_VPOLL:
		return POLL_BITS;
	case KIND_ASYNC:
		return EPOLLIN | EPOLLERR;
	case KIND_SIGNAL:
	case KIND_TIMER:
		return EPOLLIN;
	default:
		return EPOLLIN | EPOLLOUT;
	}
}

uint32_t class_bits(unsigned class)
{
	uint32_t bits = EPOLLERR | EPOLLHUP;

	if (class & CLASS_IN)
		bits |= EPOLLIN;
	if (class & CLASS_PRI)
		bits |= EPOLLPRI;
	if (class & CLASS_OUT)
		bits |= EPOLLOUT;
	return bits;
}

uint32_t slot_wanted(const struct slot *slot)
{
	return atomic_load(&slot->wanted) | want_bits(atomic_load(&slot->watchers));
}

bool slot_shows(const struct slot *slot, unsigned class)
{
	bool own_of_mask = class == CLASS_IN && slot_is_mask(slot);

	if (own_of_mask && (atomic_load(&slot->flags) & SLOT_DIFFERS))
		return true;
	return (slot_state(slot) & (own_of_mask ? slot_wanted(slot) : class_bits(class))) != 0;
}

bool slot_at_limit(const struct slot *slot)
{
	return slot_kind(slot) == KIND_COUNTER && !(slot_state(slot) & (EPOLLOUT | EPOLLERR));
}
