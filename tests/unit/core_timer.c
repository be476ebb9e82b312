/* The state machine of timers at the ends of its range. */
#include "core/timer.h"

#include <criterion/criterion.h>

static struct timer at(uint64_t expiry, uint64_t interval)
{
	return (struct timer){expiry, interval};
}

static struct timer fired(struct timer timer)
{
	timer.second |= TIMER_FIRED;
	return timer;
}

Test(core_timer, ticks)
{
	cr_assert_eq(timer_ticks(at(0, 7), 100), 0);
	cr_assert_eq(timer_ticks(at(100, 0), 99), 0);
	cr_assert_eq(timer_ticks(at(100, 0), 100), 1);
	cr_assert_eq(timer_ticks(at(100, 0), 1000000), 1);
	cr_assert_eq(timer_ticks(at(100, 7), 106), 1);
	cr_assert_eq(timer_ticks(at(100, 7), 107), 2);
	cr_assert_eq(timer_ticks(at(1, 1), TIMER_TIME), TIMER_TIME);
	cr_assert_eq(timer_ticks(at(TIMER_TIME, 1), TIMER_TIME - 1), 0);
}

Test(core_timer, a_clock_that_was_set_back_takes_no_tick_away)
{
	cr_assert_eq(timer_ticks(fired(at(100, 0)), 50), 1);
	cr_assert_eq(timer_ticks(fired(at(100, 7)), 50), 1);
	cr_assert_eq(timer_ticks(fired(at(100, 7)), 107), 2);
}

Test(core_timer, remaining)
{
	cr_assert_eq(timer_remaining(at(0, 7), 100), 0);
	cr_assert_eq(timer_remaining(at(100, 7), 90), 10);
	cr_assert_eq(timer_remaining(at(100, 0), 100), 0);
	cr_assert_eq(timer_remaining(at(100, 7), 100), 7);
	cr_assert_eq(timer_remaining(at(100, 7), 106), 1);
	cr_assert_eq(timer_remaining(fired(at(100, 7)), 107), 7);
}

Test(core_timer, after_a_read_the_grid_stays)
{
	struct timer timer = fired(at(100 | TIMER_RELATIVE, 7));
	timer = timer_after(timer, timer_ticks(timer, 120));
	cr_assert_eq(timer_expiry(timer), 121);
	cr_assert(!timer_fired(timer) && (timer.first & TIMER_RELATIVE));
	timer = timer_after(fired(at(100, 0)), 1);
	cr_assert(!timer_expiry(timer) && !timer_fired(timer));
}

Test(core_timer, what_lies_too_far_off_never_comes)
{
	struct timer timer = timer_after(at(TIMER_TIME - 1, TIMER_TIME), 1);
	cr_assert_eq(timer_expiry(timer), TIMER_TIME);
	timer = timer_after(at(2, TIMER_TIME / 2), 1000);
	cr_assert_eq(timer_expiry(timer), TIMER_TIME);
	cr_assert(timer_pending(timer));
}
